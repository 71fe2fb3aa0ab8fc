"""The matrices for contagion say what claim holders lose, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from chain.errors import InputError
from simulator.graph.exposure import ExposureGraph
from simulator.graph.matrix import exposure_matrix
from tests.simulator.graph.test_reach import STACK
from tests.simulator.graph.toys import Claim, Coin, Loans, Toy, snapshot_of


@pytest.fixture(scope="module")
def graph() -> ExposureGraph:
    return ExposureGraph.of(snapshot_of(STACK))


def test_markets_are_exposed_through_every_claim_between_them(graph: ExposureGraph) -> None:
    found = exposure_matrix(graph, "market")
    assert found.labels == ("lend-eth", "top")
    # without the market below, shares are worth nothing, and ann and cid can pay nothing back
    assert found.exposures_usd.toarray().tolist() == pytest.approx(np.array([[0.0, 0.0], [4_700.0, 0.0]]), rel=1e-6)
    assert found.equity_usd.tolist() == pytest.approx([18_000.0, 5_600.0], rel=1e-6)


def test_issuers_are_exposed_to_those_whose_claims_they_hold(graph: ExposureGraph) -> None:
    found = exposure_matrix(graph, "issuer")
    assert found.labels == ("lend-eth", "top", "0xvault")
    wanted = [[0.0, 0.0, 0.0], [0.0, 0.0, 4_700.0], [12_000.0, 0.0, 0.0]]
    assert found.exposures_usd.toarray() == pytest.approx(np.array(wanted), rel=1e-6)
    assert found.equity_usd.tolist() == pytest.approx([18_000.0, 5_600.0, 12_000.0], rel=1e-6)


def test_other_collateral_covers_first_and_what_was_uncovered_before_is_no_new_loss() -> None:
    coins = (Coin("USD", 1.0, 6), Coin("X", 5.0), Coin("fund", 2.0))
    loans = (
        Loans("one", "fund", "USD", {"a": (100.0, 150.0), "b": (10.0, 30.0)}),
        Loans("two", "X", "USD", {"a": (100.0, 150.0)}),
    )
    toy = Toy(coins, (Claim("fund", "", 0.0, 500.0, "0xmanager"),), loans)
    found = exposure_matrix(ExposureGraph.of(snapshot_of(toy)), "issuer")
    # of what the manager's claims are worth there is only the price to go by
    assert found.equity_usd.tolist() == pytest.approx([180.0, 150.0, 1_000.0])
    row = dict(zip(found.labels, found.exposures_usd.toarray()[:, 2].tolist(), strict=True))
    # b was ten dollars short already
    assert row == pytest.approx({"one": 150.0 + 20.0, "two": 0.0, "0xmanager": 0.0})


def test_who_has_no_claim_holders_is_left_out() -> None:
    toy = Toy(STACK.coins, STACK.claims, (*STACK.loans, Loans("empty", "share", "ETH", {"ann": (1.0, 0.0)})))
    assert exposure_matrix(ExposureGraph.of(snapshot_of(toy))).labels == ("lend-eth", "top")


def test_nothing_is_exposed_to_itself(graph: ExposureGraph) -> None:
    for level in ("market", "issuer"):
        assert not exposure_matrix(graph, level).exposures_usd.diagonal().any()


def test_another_level_is_refused(graph: ExposureGraph) -> None:
    with pytest.raises(InputError, match="between markets or between issuers, not 'bank'"):
        exposure_matrix(graph, "bank")  # type: ignore[arg-type]
