"""Parts of the expected shortfall add up to it, and each is its own mean loss on the worst paths of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from chain.errors import InputError
from simulator.estimate.contributions import UNPLEDGED
from simulator.estimate.models.gbm import GBM
from simulator.estimate.run import BadDebt, estimate
from simulator.estimate.sampling import Sampling
from simulator.scenario import Scenario
from simulator.stress import behaviour
from tests.simulator import plain

FOLLOW = {"OWED": "USD"}
MODEL = GBM(("COL",), 4, 21_600.0, np.array([[0.12**2]]))
BOOK = plain.together(
    plain.aave({"a": (1_400.0, 1_000.0), "b": (1_300.0, 1_000.0), "c": (40_000.0, 9_000.0)}),
    plain.compound_v2({"d": (2_600.0, 1_700.0), "e": (900.0, 600.0)}),
)


def outside() -> Scenario:
    found = behaviour(None, 0.01)
    assert found is not None
    # few liquidations fit into a day, so that there is bad debt
    return found.model_copy(update={"liquidators": found.liquidators.model_copy(update={"latency_s": 50_000.0})})


def made(sampling: Sampling, **options: object) -> BadDebt:
    return estimate(BOOK, MODEL, 4_096, sampling=sampling, follow=FOLLOW, at="end", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", ["independent", "sobol", "importance"])
def test_parts_add_up_and_are_mean_losses_on_the_worst_paths_of_the_whole(sampling: Sampling) -> None:
    found = made(sampling, like=outside())
    level = 0.9
    parts = found.contributions(level)
    losses, weights = found.losses_usd, found.weights / len(found.weights)
    order = np.argsort(-losses[:, 0], kind="stable")
    # what of each path, from the worst, is within the tail's probability
    reached = np.cumsum(weights[order])
    counts = np.clip(1.0 - level - (reached - weights[order]), 0.0, weights[order]) / (1.0 - level)
    names = dict(zip(found.outputs, (counts @ losses[order]).tolist(), strict=True))
    assert names["all markets"] > 0.0
    assert parts.groupby("by")["value"].sum().to_numpy() == pytest.approx(np.full(4, names["all markets"]), rel=1e-9)
    by_market = parts[parts["by"] == "market"].set_index("of")["value"]
    assert by_market.to_dict() == pytest.approx({name: names[name] for name in ("pool", "comptroller")}, rel=1e-6)
    by_collateral = parts[parts["by"] == "collateral"].set_index("of")["value"]
    assert by_collateral["pool/COL"] == pytest.approx(names["pool/COL pledged"], rel=1e-6)
    assert set(parts[parts["by"] == "asset"]["of"]) == {"COL"}
    assert parts["share"].sum() == pytest.approx(4.0)


def test_accounts_are_named_and_the_rest_is_one_row() -> None:
    found = made("independent", like=outside())
    whole, two = found.contributions(0.9), found.contributions(0.9, top=2)
    by_account = whole[whole["by"] == "account"]
    assert set(by_account["of"]) <= {"pool/a", "pool/b", "pool/c", "comptroller/d", "comptroller/e"}
    assert by_account["value"].is_monotonic_decreasing
    named = two[two["by"] == "account"].set_index("of")["value"]
    assert named["all others"] == pytest.approx(by_account["value"].iloc[2:].sum())


def test_a_debt_without_collateral_is_told_apart() -> None:
    bare = plain.aave({"a": (0.0, 50.0), "b": (130.0, 100.0)})
    found = estimate(bare, MODEL, 200, follow=FOLLOW, like=outside()).contributions(0.9)
    by_collateral = found[found["by"] == "collateral"].set_index("of")["value"]
    assert by_collateral[UNPLEDGED] == pytest.approx(50.0)


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(InputError, match="leave out --without-liquidations"):
        made("independent", liquidations=False).contributions()
    with pytest.raises(InputError, match="between 0 and 1"):
        made("independent", like=outside()).contributions(1.0)
