"""A principal token as collateral: seized in a crash, and sold to a Pendle market for what is inside its SY."""

from __future__ import annotations

from dataclasses import replace

from chain.snapshot import Snapshot
from chain.tables import Table
from protocols.amm.pendle.pool import PendleMarket
from protocols.amm.pendle.tables import MARKETS
from tests.simulator.books import ETH, START, STEP_S, USD, Account, Played, Pool, make_scenario, make_snapshot, play

WAD = 10**18
PRINCIPAL = replace(ETH, symbol="PT-ETH", address="0xd1", price_usd=2811.29, published_ago=71)
POOL = Pool("ETH", "USD", 41.0e6, 500)


def book(left: int) -> Snapshot:
    """Somebody owes dollars against principal tokens of ether, whose only market has so many seconds to go; its first
    price is the oracle's."""
    snapshot = make_snapshot({"a": Account({"PT-ETH": 100.0}, {"USD": 225_000.0})}, [POOL], (ETH, USD, PRINCIPAL))
    row = {
        "market": "0xpendle",
        "version": 7,
        "pt": PRINCIPAL.address,
        "token": ETH.address,
        "scalar_root_wad": 40 * WAD,
        "expiry": START + left,
        "ln_fee_rate_root_wad": 10**15,
        "reserve_fee_percent": 80,
        "py_index_wad": WAD,
        "total_pt_raw": 5_000 * WAD,
        "total_sy_raw": 5_000 * WAD,
        # ln(2904.37 / 2811.29) of a quarter, for a year
        "last_ln_implied_rate_wad": 130_219_861_000_000_000,
    }
    return replace(snapshot, tables={**snapshot.tables, MARKETS.name: Table.from_rows(MARKETS, [row])})


def crash(snapshot: Snapshot) -> Played:
    return play(snapshot, make_scenario({"ETH": 0.9, "PT-ETH": 0.9}))


def pendle(played: Played) -> PendleMarket:
    (market,) = (venue for venue in played.book.venues if isinstance(venue, PendleMarket))
    return market


def test_principal_that_is_seized_is_sold_for_the_token_inside_and_that_for_the_debt() -> None:
    played = crash(book(91 * 86_400))
    sales = [swap for swap in played.record.swaps if swap["liquidation"] >= 0]
    assert [(swap["protocol"], swap["token_in"], swap["token_out"]) for swap in sales[:2]] == [
        ("pendle", PRINCIPAL.address, ETH.address),
        ("uniswap_v3", ETH.address, USD.address),
    ]
    assert sales[0]["received_raw"] == sales[1]["paid_raw"]
    assert sales[0]["fee_usd"] > 0
    seized = sum(row["received_raw"] for row in played.record.liquidations)
    assert sum(swap["paid_raw"] for swap in sales if swap["protocol"] == "pendle") == seized > 0
    sold = sum(swap["paid_raw"] if swap["token_in"] == PRINCIPAL.address else -swap["received_raw"]
               for swap in played.record.swaps if swap["protocol"] == "pendle")  # fmt: skip
    assert pendle(played).state.total_pt == 5_000 * WAD + sold


def test_what_nobody_can_sell_after_the_expiry_stays() -> None:
    played = crash(book(STEP_S))
    assert pendle(played).now == START + 2 * STEP_S
    assert played.record.liquidations == []
    assert [swap for swap in played.record.swaps if swap["protocol"] == "pendle"] == []
    assert played.record.steps[-1]["accounts_liquidatable"] == 1
