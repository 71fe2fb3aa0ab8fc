"""Debt that rises is collateral that falls, seen from the other side: the same accounts break, the same units move.

Prices only matter as ratios. A run in which the token that is owed rises by a factor, and one in which everything else
falls by it, are the same run in tokens; in dollars they differ by that factor. Tolerance: 1e-6 of each amount, because
oracle prices have eight decimals, and what is rounded there is passed on through pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chain.snapshot import Snapshot
from simulator.run import Run, simulate
from simulator.scenario import Scenario
from tests.simulator.books import ASSETS, DAI, Account, Pool, make_scenario, make_snapshot
from tests.simulator.plain import FREE, aave, asset, constant_product, without_fee

EQUAL = 1e-6
ADDRESS = {asset.symbol: asset.address for asset in ASSETS}
UNITS = ("repaid_raw", "received_raw", "fee_raw", "proceeds_raw", "amount_raw")
MONEY = ("collateral_usd", "repaid_usd", "protocol_fee_usd", "slippage_usd", "profit_usd")


def mirrored(factors: Mapping[str, float | Sequence[float]], token: str, symbols: Sequence[str]) -> dict[str, Any]:
    """The same moves of prices against each other, with `token` standing still: everything else falls as it rises."""
    steps = max(len(f) if isinstance(f, Sequence) else 1 for f in factors.values())
    rows = {s: list(f) if isinstance(f := factors.get(s, 1.0), Sequence) else [f] * steps for s in symbols}
    return {s: [own / of for own, of in zip(rows[s], rows[token], strict=True)] for s in symbols if s != token}


def outside(run: Run, token: str) -> list[float]:
    """Outside price of a token in every step."""
    return [row["outside_usd"] for row in run.tables["prices"].rows() if row["token"] == token]


def assert_the_same_in_tokens(run: Run, mirror: Run, numeraire: str, decimals: Mapping[str, int]) -> None:
    """Every liquidation, swap and deficit is the other's in units, and in dollars by the numeraire's price."""
    for table in ("liquidations", "swaps", "deficits"):
        assert len(run.tables[table]) == len(mirror.tables[table])
    exchange = [a / b for a, b in zip(outside(run, numeraire), outside(mirror, numeraire), strict=True)]
    for a, b in zip(run.tables["liquidations"].rows(), mirror.tables["liquidations"].rows(), strict=True):
        assert [a[name] for name in ("step", "account", "collateral", "debt")] == [
            b[name] for name in ("step", "account", "collateral", "debt")
        ]
        assert a["health_raw"] == pytest.approx(b["health_raw"], rel=EQUAL)
        for name in UNITS:
            assert a[name] == pytest.approx(b[name], rel=EQUAL, abs=10)
        for name in MONEY:
            assert a[name] == pytest.approx(b[name] * exchange[a["step"] - 1], rel=1e-4, abs=EQUAL * a["repaid_usd"])
    for a, b in zip(run.tables["swaps"].rows(), mirror.tables["swaps"].rows(), strict=True):
        assert [a[name] for name in ("step", "liquidation", "venue", "token_in", "token_out")] == [
            b[name] for name in ("step", "liquidation", "venue", "token_in", "token_out")
        ]
        # an arbitrage is a small difference of large reserves
        for name in ("paid_raw", "received_raw"):
            slack = 10 if a["liquidation"] >= 0 else EQUAL * 1e7 * 10 ** decimals[a["token_in"]]
            assert a[name] == pytest.approx(b[name], rel=EQUAL, abs=slack)
    for a, b in zip(run.tables["deficits"].rows(), mirror.tables["deficits"].rows(), strict=True):
        assert (a["account"], a["token"]) == (b["account"], b["token"])
        assert a["amount_raw"] == pytest.approx(b["amount_raw"], rel=EQUAL, abs=1e-5 * 10 ** decimals[a["token"]])
    for a, b in zip(run.tables["accounts"].rows(), mirror.tables["accounts"].rows(), strict=True):
        assert a["health_factor_after"] == pytest.approx(b["health_factor_after"], rel=EQUAL)
        for name in ("collateral_after_usd", "debt_after_usd"):
            assert a[name] == pytest.approx(b[name] * exchange[-1], rel=EQUAL, abs=1e-3)


# --- a short in one token (CRV, November 2022) ----------------------------------------------------------------------

CRV = asset("CRV", threshold=0.55, bonus=1.083, price_usd=0.47, decimals=18)
USDC = asset("USDC", threshold=0.88, bonus=1.045, decimals=6)
SHORTS = {
    "whale": Account({"USDC": 60_000_000.0}, {"CRV": 92_000_000.0}),
    "middle": Account({"USDC": 2_000_000.0}, {"CRV": 3_000_000.0}),
    "thin": Account({"USDC": 300_000.0}, {"CRV": 540_000.0}),
    "careful": Account({"USDC": 1_000_000.0}, {"CRV": 900_000.0}),
    "long": Account({"CRV": 5_000_000.0}, {"USDC": 900_000.0}),
}
RISE = {"CRV": [1.01, 1.02, 1.3, 1.3, 1.3, 1.3]}
# pairs, in which either side is worth the same: what impact a pool's move has is weighed by the side that moves
CRV_POOLS = (Pool("CRV", "USDC", 60e6), Pool("CRV", "USDC", 27e6))


def short(version: str) -> Snapshot:
    return make_snapshot(SHORTS, CRV_POOLS, (CRV, USDC), version=version, lent_usd=1e9)


def crv(moves: Mapping[str, Any], anchored: Sequence[str], impact: float = 0.5, **content: Any) -> Scenario:
    return make_scenario(moves, steps=7, venues={"impact": impact, "anchored": list(anchored)}, **content)


def test_a_debt_that_rises_by_30_percent_is_liquidated_bought_and_rises_further() -> None:
    run = simulate(short("3.2"), crv(RISE, ["USDC"]))
    liquidations = run.tables["liquidations"].rows()
    assert {row["account"] for row in liquidations} == {"whale", "middle", "thin"}
    for row in liquidations:
        assert (row["collateral"], row["debt"]) == (USDC.address, CRV.address)
        sales = [swap for swap in run.tables["swaps"].rows() if swap["liquidation"] == row["liquidation"]]
        assert {(swap["token_in"], swap["token_out"]) for swap in sales} == {(USDC.address, CRV.address)}
    rise = outside(run, CRV.address)
    still = outside(simulate(short("3.2"), crv(RISE, ["USDC"], impact=0.0)), CRV.address)
    assert still[-1] == pytest.approx(1.3 * 0.47, rel=1e-9)
    assert rise[-1] > 1.05 * still[-1]
    assert all(pushed >= own * (1 - 1e-12) for pushed, own in zip(rise, still, strict=True))
    # the whale was covered when the price had risen by 30 %; what was bought to liquidate it sank it
    assert 92e6 * still[-1] < 0.94 * 60e6
    whale = next(row for row in run.tables["accounts"].rows() if row["account"] == "whale")
    assert whale["debt_after_usd"] > whale["collateral_after_usd"]


@pytest.mark.parametrize("version", ["3.2", "3.6"])
@pytest.mark.parametrize("impact", [0.0, 0.5])
@pytest.mark.parametrize("late", [{"deviation": 0.0}, {"deviation": 0.0, "delay_s": 60.0}], ids=["prompt", "late"])
def test_a_rising_debt_is_the_mirror_of_a_falling_collateral(version: str, impact: float, late: dict[str, Any]) -> None:
    # the dollar of the mirror is the CRV: the collateral falls against it, and that is what selling it pushes down
    rising = simulate(short(version), crv(RISE, ["USDC"], impact, oracles=late))
    falling = simulate(short(version), crv(mirrored(RISE, "CRV", ["CRV", "USDC"]), ["CRV"], impact, oracles=late))
    assert len(rising.tables["liquidations"]) > 5
    assert len(rising.tables["deficits"]) == (1 if version == "3.6" else 0)
    assert_the_same_in_tokens(rising, falling, CRV.address, {CRV.address: 18, USDC.address: 6})
    up, down = outside(rising, CRV.address), outside(falling, USDC.address)
    for rise, fall in zip(up, down, strict=True):
        assert rise / 0.47 == pytest.approx(1 / fall, rel=EQUAL)
    assert outside(rising, USDC.address) == [1.0] * 7
    assert outside(falling, CRV.address) == [0.47] * 7


def test_where_no_price_is_rounded_the_mirror_is_exact_to_the_unit() -> None:
    # a collateral that falls to half, a debt that rises to twice
    amounts = {f"a{n}": (1e6 * n, 3.9e5 * n + 7e3 * n * n) for n in range(1, 9)}
    pools = (constant_product("COL", "OWED", 3e8),)
    snapshot = without_fee(aave(amounts, version="3.2", pools=pools))
    moves: tuple[tuple[str, float], ...] = (("COL", 0.5), ("OWED", 2.0))
    falling, rising = (simulate(snapshot, make_scenario({token: factor}, liquidators=FREE)) for token, factor in moves)
    assert len(falling.tables["liquidations"]) > 4
    for table, names in (
        ("liquidations", ("sequence", "step", "account", "health_raw", *UNITS)),
        ("swaps", ("sequence", "step", "venue", "token_in", "paid_raw", "received_raw", "amount_raw")),
    ):
        first, second = ([[row[name] for name in names] for row in r.tables[table].rows()] for r in (falling, rising))
        assert first == second
    for column in ("repaid_usd", "profit_usd", "slippage_usd", "bad_debt_economic_usd"):
        halves, wholes = (run.tables["steps"].floats(column) for run in (falling, rising))
        assert list(wholes) == pytest.approx([2.0 * half for half in halves], rel=1e-12, abs=1e-6)


# --- a debt of many (DAI, November 2020) ----------------------------------------------------------------------------

BORROWERS = {
    "eth": Account({"ETH": 900.0}, {"DAI": 1_750_000.0}),
    "usd": Account({"USD": 2_400_000.0}, {"DAI": 1_600_000.0}),
    "both": Account({"ETH": 300.0, "USD": 700_000.0}, {"DAI": 1_150_000.0, "USD": 20_000.0}),
    "btc": Account({"BTC": 31.0}, {"DAI": 1_260_000.0}),
    "farmer": Account({"DAI": 900_000.0, "USD": 1_500_000.0}, {"DAI": 1_600_000.0}),
    "little": Account({"ETH": 500.0}, {"DAI": 400_000.0}),
    "lender": Account({"DAI": 3_000_000.0}, {"ETH": 500.0}),
}
SPIKE = {"DAI": [1.02, 1.11, 1.3, 1.3, 1.1, 1.0], "ETH": [0.99, 0.97, 0.92, 0.93, 0.95, 0.97]}


def dai(moves: Mapping[str, Any], **content: Any) -> Run:
    defaults: dict[str, Any] = {"steps": 7, "venues": {"impact": 0.4}}
    return simulate(make_snapshot(BORROWERS, version="3.6"), make_scenario(moves, **defaults | content))


def test_a_stablecoin_that_is_owed_and_spikes_is_bought_and_spikes_higher() -> None:
    run = dai(SPIKE, venues={"impact": 0.4, "anchored": ["USD"]})
    liquidations = run.tables["liquidations"].rows()
    assert {row["account"] for row in liquidations} >= {"eth", "usd", "both", "btc", "farmer"}
    assert "little" not in {row["account"] for row in liquidations}
    assert "lender" not in {row["account"] for row in liquidations}
    last_hop = {row["liquidation"]: row["token_out"] for row in run.tables["swaps"].rows() if row["liquidation"] >= 0}
    bought = sum(last_hop.get(row["liquidation"]) == DAI.address for row in liquidations)
    assert bought > 0.8 * len(last_hop)
    prices = outside(run, DAI.address)
    alone = [DAI.price_usd * factor for factor in [*SPIKE["DAI"], 1.0]]
    assert prices[0] == pytest.approx(alone[0], rel=1e-9)
    assert max(pushed / own for pushed, own in zip(prices, alone, strict=True)) > 1.01
    assert all(pushed >= own * (1 - 1e-9) for pushed, own in zip(prices, alone, strict=True))


@pytest.mark.parametrize("numeraire", ["DAI", "ETH", "USD"])
def test_only_ratios_of_prices_matter(numeraire: str) -> None:
    run = dai(SPIKE)
    symbols = [a.symbol for a in ASSETS]
    steady = {numeraire: [1.0] * 6} | SPIKE
    mirror = dai(mirrored(steady, numeraire, symbols))
    assert len(run.tables["liquidations"]) > 8
    assert_the_same_in_tokens(run, mirror, ADDRESS[numeraire], {a.address: a.decimals for a in ASSETS})
    # prices of everything in everything else
    for first in symbols:
        ratios = [
            [a / b for a, b in zip(outside(r, ADDRESS[first]), outside(r, ADDRESS[numeraire]), strict=True)]
            for r in (run, mirror)
        ]
        assert ratios[0] == pytest.approx(ratios[1], rel=EQUAL)


def test_a_feed_that_spikes_alone_makes_liquidators_buy_what_is_owed_and_has_a_mirror_too() -> None:
    # DAI stood at 1.30 on one exchange and in the oracle, and at about a dollar everywhere else
    def fault(symbols: Sequence[str], factor: float) -> Run:
        faults = [{"tokens": list(symbols), "kind": "factor", "value": factor}]
        return dai({}, oracles={"deviation": 0.0, "faults": faults}, venues={"impact": 0.4})

    run = fault(["DAI"], 1.3)
    liquidations = run.tables["liquidations"].rows()
    assert {row["account"] for row in liquidations} >= {"eth", "usd", "both", "btc"}
    # the borrower pays at the feed's price, and the liquidator earns the difference to the market's
    by_account = next(row for row in liquidations if row["account"] == "usd")
    assert by_account["collateral_usd"] / by_account["repaid_usd"] > 1.3
    prices = outside(run, DAI.address)
    assert prices[0] == pytest.approx(DAI.price_usd, rel=1e-9)
    assert prices[-1] > 1.01 * DAI.price_usd
    mirror = fault([a.symbol for a in ASSETS if a is not DAI], 1 / 1.3)
    assert_the_same_in_tokens(run, mirror, DAI.address, {a.address: a.decimals for a in ASSETS})
