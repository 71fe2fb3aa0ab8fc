"""The four responses of borrowers on a book whose figures can be worked out by hand."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from chain.errors import InputError
from chain.snapshot import Snapshot
from protocols.lending.interface import Exposures
from simulator.audit.evaluate import headroom, outcome
from simulator.audit.grid import Books, cells
from simulator.audit.responses import RESPONSES, respond
from simulator.audit.room import rooms
from simulator.audit.settings import Values, changed, chosen, settings
from simulator.audit.theory import warnings
from simulator.book import Book, value
from tests.simulator import plain
from tests.simulator.books import ASSETS, Account, make_snapshot

# threshold 0.8, maximum LTV 0.75, prices of one dollar: health factors 1.6, 1.0667 and 0.9412
ACCOUNTS = {"a": (100.0, 50.0), "b": (100.0, 75.0), "c": (100.0, 85.0)}
HELD, OWED = 300.0, 210.0
COL, OWED_ROW = 0, 1


def book(supply_cap: str = "none", borrow_cap: str = "none", cash: float = 1e6) -> Snapshot:
    """The accounts, with others' supply of `cash` dollars of each token besides."""
    made = plain.aave(ACCOUNTS, lent_usd=cash)
    wanted = {"pool/COL.ltv": 0.75, "pool/COL.supply_cap": supply_cap, "pool/OWED.borrow_cap": borrow_cap}
    known = settings(made)
    return changed(made, known, {key: raws[0] for key, raws in chosen(known, wanted).items()})


def after(snapshot: Snapshot, response: str, **values: float) -> tuple[Books, Book]:
    """The books of a snapshot, and that of other values of the collateral once borrowers have responded."""
    known = settings(snapshot)
    wanted = chosen(known, {f"pool/COL.{name}": value for name, value in values.items()})
    books = Books(snapshot, known)
    tables, cell = books.of(cells(known, wanted)[-1])
    return books, respond(response, books.base, cell, rooms(tables, cell))


def balances(found: Book) -> tuple[list[float], list[float]]:
    """What each account supplies of COL, and what it owes."""
    exposures = found.markets[0].exposures()
    supplied = exposures.supplied[exposures.reserve == COL]
    return supplied.tolist(), exposures.debt[exposures.reserve == OWED_ROW].tolist()


def near(*values: float) -> object:
    return pytest.approx(list(values), rel=1e-9)


# --- what each does -------------------------------------------------------------------------------------------------


def test_borrowers_who_do_nothing_keep_their_balances_and_are_liquidated_at_once_where_the_threshold_falls() -> None:
    books, found = after(book(), "static", liquidation_threshold=0.7)
    assert balances(found) == (near(100, 100, 100), near(50, 75, 85))
    fallen = outcome(books.base, found)
    # c could be liquidated before
    assert (fallen["at_once_accounts"], fallen["at_once_debt_usd"]) == (1, pytest.approx(75.0))
    assert fallen["at_once_collateral_usd"] == pytest.approx(100.0)


def test_a_constant_health_factor_scales_debts_with_the_threshold_up_to_the_maximum_ltv() -> None:
    _, tighter = after(book(), "constant-health-factor", liquidation_threshold=0.7)
    assert balances(tighter) == (near(100, 100, 100), near(50 * 7 / 8, 75 * 7 / 8, 85 * 7 / 8))
    _, looser = after(book(), "constant-health-factor", liquidation_threshold=0.88)
    # b owes all that the maximum LTV allows, and c more: neither is called, and neither may borrow
    assert balances(looser) == (near(100, 100, 100), near(55, 75, 85))
    _, both = after(book(), "constant-health-factor", liquidation_threshold=0.88, ltv=0.8)
    assert balances(both) == (near(100, 100, 100), near(55, 80, 85))


def test_whose_collateral_no_longer_counts_repays_everything_to_keep_a_health_factor() -> None:
    _, found = after(book(), "constant-health-factor", liquidation_threshold=0.0)
    assert balances(found) == (near(100, 100, 100), near(0, 0, 0))


def test_re_levering_ends_at_equity_times_the_leverage_limit() -> None:
    _, found = after(book(), "re-lever-to-maximum", ltv=0.8)
    supplied, owed = balances(found)
    # a has 50 of its own and b 25: 50 / 0.2 and 25 / 0.2; c owes more than it may
    assert supplied == near(250, 125, 100)
    assert owed == near(200, 100, 85)


def test_a_market_fills_with_accounts_like_those_there_are_until_a_cap_binds() -> None:
    # others supply a million of COL; there is room for 150 more, half of what accounts hold
    cap = str(1_000_000 + HELD + 150)
    _, found = after(book(supply_cap=cap), "fill-to-cap")
    assert balances(found) == (near(150, 150, 150), near(75, 112.5, 127.5))
    _, found = after(book(supply_cap=cap, borrow_cap="252"), "fill-to-cap")
    assert balances(found) == (near(120, 120, 120), near(60, 90, 102))
    _, full = after(book(borrow_cap="200"), "fill-to-cap")
    assert balances(full) == (near(100, 100, 100), near(50, 75, 85))


def test_a_market_without_caps_fills_until_its_cash_is_lent() -> None:
    _, found = after(book(cash=210.0), "fill-to-cap")
    assert balances(found) == (near(200, 200, 200), near(100, 150, 170))


def test_lenders_come_where_a_cap_lets_them() -> None:
    _, found = after(book(cash=21.0, borrow_cap="420"), "fill-to-cap")
    assert sum(balances(found)[1]) == pytest.approx(420.0)


def test_a_fuller_market_is_filled_with_accounts_that_keep_their_health_factor() -> None:
    _, found = after(book(borrow_cap="420"), "fill-to-cap", liquidation_threshold=0.7)
    supplied, owed = balances(found)
    assert sum(owed) == pytest.approx(420.0)
    assert owed == near(*(debt * 2 for _, debt in ACCOUNTS.values()))
    assert supplied == near(*([200 / (7 / 8)] * 3))


# --- what bounds it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"borrow_cap": "220"}, {"cash": 10.0}])
def test_what_a_reserve_cannot_lend_is_shared_by_all_who_ask_alike(limits: dict[str, object]) -> None:
    _, found = after(book(**limits), "re-lever-to-maximum")  # type: ignore[arg-type]
    supplied, owed = balances(found)
    # a wants 100 and nobody else anything: b is at its maximum, c beyond it
    assert owed == near(60, 75, 85)
    assert supplied == near(110, 100, 100)
    _, found = after(book(**limits), "re-lever-to-maximum", ltv=0.8)  # type: ignore[arg-type]
    # a wants 150 and b 25; there are 10
    assert balances(found)[1] == near(50 + 150 * 10 / 175, 75 + 25 * 10 / 175, 85)


def test_what_a_supply_cap_has_no_room_for_is_not_levered() -> None:
    _, found = after(book(supply_cap=str(1_000_000 + HELD + 20)), "re-lever-to-maximum")
    assert balances(found) == (near(120, 100, 100), near(70, 75, 85))


def test_a_maximum_ltv_of_one_has_no_last_loop() -> None:
    with pytest.raises(InputError, match="market pool: a maximum LTV of 1 or more lets borrowers lever without end"):
        after(book(), "re-lever-to-maximum", ltv=1.0)


def test_nobody_without_debt_responds() -> None:
    snapshot = plain.aave({"a": (100.0, 0.0), "b": (100.0, 40.0)})
    for name in RESPONSES:
        _, found = after(snapshot, name, liquidation_threshold=0.9, ltv=0.7)
        assert (balances(found)[0][0], balances(found)[1][0]) == (100.0, 0.0)


def test_the_snapshots_own_values_change_no_bit_of_who_keeps_a_health_factor() -> None:
    snapshot = book()
    for name in ("static", "constant-health-factor"):
        _, found = after(snapshot, name)
        books, _ = after(snapshot, "static")
        for own, now in zip(books.base.markets[0].exposures(), found.markets[0].exposures(), strict=True):
            assert own.tobytes() == now.tobytes()


def test_interest_goes_on_for_who_has_responded_as_it_would_have() -> None:
    snapshot = plain.compound_market(
        {"a": Account({"COL": 100.0}, {"OWED": 40.0})}, (plain.asset("COL"), plain.asset("OWED")), rate=0.1, cash=50.0
    )
    known = settings(snapshot)
    books = Books(snapshot, known)
    tables, cell = books.of(cells(known, chosen(known, {"comptroller/COL.collateral_factor": 0.7}))[-1])
    found = respond("constant-health-factor", books.base, cell, rooms(tables, cell)).markets[0]
    ahead = deepcopy(found)
    ahead.advance(snapshot.timestamp + 86_400 * 365)
    now, then = (market.exposures().debt[-1] for market in (found, ahead))
    assert now == pytest.approx(35.0)
    assert then == pytest.approx(35.0 * 1.1, rel=1e-6)
    assert found.exposures().debt[-1] == now


# --- laws, on random books ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_book_no_response_breaks_a_cap_lends_what_is_not_there_or_makes_anybody_liquidatable(
    seed: int,
) -> None:
    draw = np.random.default_rng(seed)
    symbols = [asset.symbol for asset in ASSETS]
    accounts = {}
    for number in range(12):
        held, owed = draw.choice(symbols, 2, replace=False).tolist(), draw.choice(symbols, 2, replace=False).tolist()
        worth = 10.0 ** draw.uniform(2.0, 5.0)
        prices = {asset.symbol: asset.price_usd for asset in ASSETS}
        supplied = {symbol: worth * draw.uniform(0.2, 1.0) / prices[symbol] for symbol in held}
        capacity = sum(supplied[symbol] * prices[symbol] for symbol in held) * 0.6
        debt = {symbol: capacity * draw.uniform(0.0, 0.5) / prices[symbol] for symbol in owed}
        accounts[f"a{number}"] = Account(supplied, debt)
    snapshot = make_snapshot(accounts, lent_usd=10.0 ** draw.uniform(3.0, 6.0))
    known = settings(snapshot)
    before = Books(snapshot, known).base.markets[0].exposures()
    totals = {
        asset.symbol: sum(account.supplied.get(asset.symbol, 0.0) for account in accounts.values()) for asset in ASSETS
    }
    asked: dict[str, Values] = {}
    for symbol in symbols:
        asked[f"pool/{symbol}.liquidation_threshold"] = round(draw.uniform(0.6, 0.95), 2)
        asked[f"pool/{symbol}.ltv"] = round(draw.uniform(0.3, 0.6), 2)
        asked[f"pool/{symbol}.supply_cap"] = 1 + int(draw.uniform(0.5, 4.0) * totals[symbol])
        asked[f"pool/{symbol}.borrow_cap"] = 1 + int(draw.uniform(0.1, 3.0) * totals[symbol])
    wanted = chosen(known, asked)
    books = Books(snapshot, known)
    tables, cell = books.of(cells(known, wanted)[-1])
    room, prices_usd = rooms(tables, cell), cell.oracle_usd(0)
    there, own = room[0], cell.markets[0].exposures()
    health = value(before, prices_usd).health_factor
    for name in RESPONSES:
        found = respond(name, books.base, cell, room).markets[0].exposures()
        more = [
            np.bincount(own.reserve, weights=change, minlength=len(ASSETS))
            for change in (found.supplied - own.supplied, found.debt - own.debt)
        ]
        near = 1.0 + 1e-9
        assert (there.supplied + more[0] <= np.maximum(there.supply_cap, there.supplied) * near).all()
        assert (there.borrowed + more[1] <= np.maximum(there.borrow_cap, there.borrowed) * near).all()
        if name != "fill-to-cap":
            assert (more[1] <= there.cash * near).all()
        if name in ("re-lever-to-maximum", "fill-to-cap"):
            assert (found.supplied >= own.supplied).all()
        now, then = value(found, prices_usd), value(own, prices_usd)
        owes = then.debt_usd > 0
        if name == "re-lever-to-maximum":
            assert (now.debt_usd[owes] <= np.maximum(now.capacity_usd, then.debt_usd)[owes] * near).all()
            assert (now.collateral_usd - now.debt_usd)[owes] == pytest.approx(
                (then.collateral_usd - then.debt_usd)[owes]
            )
        if name in ("constant-health-factor", "fill-to-cap"):
            # nobody is nearer to liquidation than before, and who may not borrow more is farther
            assert (now.health_factor[owes] >= health[owes] / near).all()


# --- how they differ ------------------------------------------------------------------------------------------------


def test_looser_is_better_only_where_nobody_takes_what_is_offered() -> None:
    """Debt beyond what collateral recovers after a fall of 30 %: nothing changes it but what borrowers do."""

    def lost(response: str, **values: float) -> float:
        exposures: Exposures = (
            after(book(supply_cap="1000450", borrow_cap="420"), response, **values)[1].markets[0].exposures()
        )
        held, owed = exposures.supplied[exposures.reserve == COL], exposures.debt[exposures.reserve == OWED_ROW]
        return float(np.maximum(0.0, owed - 0.7 * held / 1.05).sum())

    own = {name: lost(name) for name in RESPONSES}
    looser = {name: lost(name, ltv=0.85, liquidation_threshold=0.9) for name in RESPONSES}
    # at 100 of collateral 66.67 are recovered: b and c lose 8.33 and 18.33
    assert own["static"] == looser["static"] == pytest.approx(75 + 85 - 200 / 1.5)
    assert own["constant-health-factor"] == own["static"]
    # all three may keep their health factor at 9 / 8 of their debt, c up to its maximum of 85
    assert looser["constant-health-factor"] == pytest.approx(75 * 9 / 8 + 85 - 200 / 1.5)
    assert own["static"] < own["fill-to-cap"] < looser["fill-to-cap"]
    assert looser["re-lever-to-maximum"] > looser["constant-health-factor"]
    assert own["re-lever-to-maximum"] == pytest.approx(own["static"] + 150 - 200 / 1.5)


# --- caps and warnings ----------------------------------------------------------------------------------------------


def test_headroom_is_what_a_cap_leaves_after_the_response() -> None:
    snapshot = book(supply_cap="1000450", borrow_cap="420")
    known = settings(snapshot)
    books = Books(snapshot, known)
    tables, cell = books.of(cells(known, {})[0])
    room = rooms(tables, cell)
    before = headroom(cell, cell, room)
    assert [row["token"] for row in before] == ["0xcol", "0xowed"]
    assert before[0]["supply_room_usd"] == pytest.approx(150.0)
    assert before[1]["borrow_room_usd"] == pytest.approx(210.0)
    filled = headroom(cell, respond("fill-to-cap", books.base, cell, room), room)
    assert filled[0]["supply_room_usd"] == pytest.approx(0.0, abs=1e-6)
    assert filled[1]["borrow_room_usd"] == pytest.approx(105.0)


def test_theory_warns_of_toxic_liquidations_of_ltvs_above_thresholds_and_of_caps_below_what_is_there() -> None:
    def said(**values: float) -> list[str]:
        known = settings(snapshot)
        wanted = chosen(known, {f"pool/COL.{name}": value for name, value in values.items()})
        books = Books(snapshot, known)
        tables, cell = books.of(cells(known, wanted)[-1])
        return [row["warning"] for row in warnings(books.base, cell, rooms(tables, cell))]

    snapshot = book()
    assert said() == []
    assert said(liquidation_threshold=0.9523) == []
    # 0.9524 is 1 / 1.05
    assert ["toxic" in text for text in said(liquidation_threshold=0.9524)] == [True]
    assert "threshold 0.8 times bonus 1.25 is 1, 1 or more" in said(liquidation_bonus=1.25)[0]
    assert "above the liquidation threshold" in said(ltv=0.81)[0]
    assert "nothing lies between" in said(ltv=0.8)[0]
    snapshot = replace(plain.aave(ACCOUNTS), notes=())
    assert said() == []
    snapshot = book(borrow_cap="200")
    assert said() == ["borrow cap 200 is below the 210 that are there"]
