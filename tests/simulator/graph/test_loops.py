"""Every loop is found, with its leverage and the days it has, and nothing else is taken for one."""

from __future__ import annotations

from math import inf, log

import numpy as np
import pytest

from chain.errors import InputError
from simulator.graph.exposure import ExposureGraph
from simulator.graph.loops import days_until, loops
from tests.simulator.books import Account, make_snapshot
from tests.simulator.graph.toys import Claim, Coin, Loans, Toy, snapshot_of

LLTV = 0.86


def looped(turns: int, ltv: float) -> tuple[float, float]:
    """Collateral and debt after so many turns at a loan-to-value, from one unit of equity."""
    collateral = sum(ltv**n for n in range(turns + 1))
    return collateral, collateral - 1.0


COINS = (
    Coin("ETH", 2_000.0),
    Coin("stETH"),
    Coin("vault", decimals=8),
    Coin("USD", 1.0, 6),
    Coin("sUSD"),
    Coin("X", 7.0),
)
CLAIMS = (
    Claim("stETH", "ETH", 1.25, 90_000.0, "0xlido"),
    Claim("vault", "stETH", 2.0, 5_000.0, "0xvault"),
    Claim("sUSD", "USD", 1.1, 90_000.0, "0xsavings"),
)
TURNS = {"one": (1, 0.5), "three": (3, 0.7), "ten": (10, 0.8), "forty": (40, 0.85)}
KNOWN = Toy(
    coins=COINS,
    claims=CLAIMS,
    loans=(
        Loans(
            "steth-eth",
            "stETH",
            "ETH",
            {name: (looped(*how)[0] / 1.25, looped(*how)[1]) for name, how in TURNS.items()}
            # owes more than it has pledged: short, or under water
            | {"short": (4.0, 6.0), "idle": (3.0, 0.0)},
            rate=0.05,
        ),
        # a claim on a claim, and debt in the claim itself
        Loans("vault-steth", "vault", "stETH", {"deep": (2.0, 3.0), "dust": (5.0, 1e-5)}),
        # no loop: dollars against ether
        Loans("steth-usd", "stETH", "USD", {"long": (10.0, 9_000.0), "forty": (2.0, 1_000.0)}),
        Loans("susd-usd", "sUSD", "USD", {"saver": (10_000.0, 9_000.0)}, rate=0.03),
        Loans("x-usd", "X", "USD", {"long": (900.0, 90.0)}),
        # pledged in one market, owed in another
        Loans("usd-eth", "USD", "ETH", {"across": (30_000.0, 2.0)}),
        Loans("eth-usd", "ETH", "USD", {"across": (9.0, 500.0)}),
    ),
)


def test_every_known_loop_is_found_with_its_leverage_and_no_other() -> None:
    found = loops(ExposureGraph.of(snapshot_of(KNOWN)))
    got = {(each.account, each.base): each.leverage for each in found.itertuples()}
    wanted = {(name, "ETH"): (1 - ltv ** (turns + 1)) / (1 - ltv) for name, (turns, ltv) in TURNS.items()}
    # two turns more in dollars do not change what it has of ether beyond what it pledges for them
    collateral, debt = looped(*TURNS["forty"])
    wanted["forty", "ETH"] = (collateral + 2.5) / (collateral + 2.5 - debt)
    wanted["deep", "ETH"] = 2.0 * 2.5 / (2.0 * 2.5 - 3.0 * 1.25)
    wanted["saver", "USD"] = 11_000.0 / 2_000.0
    wanted["across", "ETH"] = 9.0 / 7.0
    wanted["across", "USD"] = 30_000.0 / 29_500.0
    assert got == pytest.approx(wanted, rel=1e-6)


def test_a_loop_says_where_it_is_and_of_what() -> None:
    found = loops(ExposureGraph.of(snapshot_of(KNOWN))).set_index(["account", "base"])
    deep = found.loc[("deep", "ETH")]
    assert (deep["markets"], deep["supplied"], deep["owed"]) == ("vault-steth", "vault", "stETH")
    assert deep["supplied_usd"] == pytest.approx(10_000.0)
    assert deep["debt_usd"] == pytest.approx(7_500.0)
    assert found["debt_usd"].is_monotonic_decreasing


def test_the_same_asset_on_both_sides_is_a_loop_without_any_claim() -> None:
    book = {"a": Account({"ETH": 5.0}, {"ETH": 4.0}), "b": Account({"ETH": 5.0}, {"USD": 4.0})}
    found = loops(ExposureGraph.of(make_snapshot(book)))
    assert found["account"].tolist() == ["a"]
    assert found["leverage"].tolist() == pytest.approx([5.0])


def test_days_follow_from_health_and_the_drift_of_rates() -> None:
    found = loops(ExposureGraph.of(snapshot_of(KNOWN))).set_index(["account", "base"])
    three = found.loc[("three", "ETH")]
    collateral, debt = looped(*TURNS["three"])
    health = collateral * LLTV / debt
    assert three["health_factor"] == pytest.approx(health, rel=1e-6)
    assert three["borrow_rate"] == pytest.approx(0.05, rel=1e-6)
    assert three["supply_rate"] == 0.0
    assert three["days_to_liquidation"] == pytest.approx(365 * log(health) / 0.05, rel=1e-5)


def test_a_yield_above_the_borrow_rate_is_never_liquidated_and_one_below_later() -> None:
    graph = ExposureGraph.of(snapshot_of(KNOWN))
    three = [
        loops(graph, {"stETH": rate}).set_index(["account", "base"]).loc[("three", "ETH"), "days_to_liquidation"]
        for rate in (0.0, 0.03, 0.06)
    ]
    assert three[1] == pytest.approx(three[0] * 0.05 / 0.02, rel=1e-5)
    assert three[2] == inf


def test_what_is_liquidatable_now_has_no_days() -> None:
    toy = Toy(COINS, CLAIMS, (Loans("m", "stETH", "ETH", {"a": (8.0, 9.0)}, rate=0.05),))
    assert loops(ExposureGraph.of(snapshot_of(toy)))["days_to_liquidation"].tolist() == [0.0]


def test_the_yield_of_a_token_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="the snapshot has no token wstETH"):
        loops(ExposureGraph.of(snapshot_of(KNOWN)), {"wstETH": 0.03})


def test_days_are_counted_for_each_account_by_itself() -> None:
    assets, debts = np.array([100.0, 50.0, 200.0]), np.array([90.0, 40.0, 100.0])
    group = np.array([0, 1, 1])
    days = days_until(assets, np.zeros(3), debts, np.array([0.1, 0.1, 0.1]), group, 2)
    assert days.tolist() == pytest.approx([3650 * log(100 / 90), 3650 * log(250 / 140)], rel=1e-9)
