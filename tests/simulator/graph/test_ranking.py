"""Who fails hurts those whose backing it is, and through them those above."""

from __future__ import annotations

import pytest

from simulator.graph.exposure import ExposureGraph
from simulator.graph.ranking import ranking
from tests.simulator.graph.test_reach import STACK
from tests.simulator.graph.toys import snapshot_of


def test_the_bottom_of_a_stack_harms_all_that_stands_on_it() -> None:
    table = ranking(ExposureGraph.of(snapshot_of(STACK)))
    # the market below backs the vault whole, whose shares back loans of 4,700 in the market above
    assert table["name"].tolist() == ["lend-eth", "0xvault", "top"]
    assert table["lost_usd"].tolist() == pytest.approx([12_000.0 + 4_700.0, 4_700.0, 0.0], rel=1e-6)
    # nothing goes round here, so that each passes distress on once anyway
    assert table["lost_once_usd"].tolist() == pytest.approx(table["lost_usd"].tolist(), rel=1e-12)
    assert table["equity_usd"].tolist() == pytest.approx([18_000.0, 12_000.0, 5_600.0], rel=1e-6)
