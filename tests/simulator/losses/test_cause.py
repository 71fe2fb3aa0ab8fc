"""Of what contagion brings about, contagion is charged with its part."""

from __future__ import annotations

import pytest

from simulator.measures.attribution import CAUSES, attribute
from simulator.run import simulate
from tests.simulator.losses.books import chain, scenario

MEASURE = "bad_debt_realised_usd"


def test_what_a_market_loses_by_anothers_loss_is_shared_by_the_shock_and_contagion() -> None:
    run = simulate(chain(), scenario({"COL": 0.5}))
    found = attribute(run, chain())
    (total,) = (row for row in found.totals if (row["measure"], row["market"]) == (MEASURE, "second"))
    assert total["run_usd"] > 1.0
    # without either of the two it does not happen
    for cause in CAUSES:
        part = found.part(MEASURE, cause.name, "second")
        both = cause.name in ("outside shock", "contagion")
        assert part == pytest.approx(total["run_usd"] / 2 if both else 0.0, rel=1e-9, abs=1e-9)
    # the first market's own loss is the shock's alone
    assert found.part(MEASURE, "contagion", "first") == pytest.approx(0.0, abs=1e-9)


def test_a_write_down_is_a_shock_and_what_it_does_through_claims_is_contagion_too() -> None:
    crash = scenario(contagion={"write_downs": [{"token": "VAULT", "share": 0.5}]})
    found = attribute(simulate(chain(), crash), chain())
    # the token itself falls whatever spreads
    assert found.part(MEASURE, "outside shock") > 1.0
    assert found.part(MEASURE, "contagion") == pytest.approx(0.0, abs=1e-9)
