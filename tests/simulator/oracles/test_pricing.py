"""Prices through trees of sources: what moves them, what holds them, and what a market then does or fails to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from chain.errors import InputError
from chain.snapshot import ORACLE_PARTS
from chain.tables import Table
from protocols.oracles.kind import Part
from protocols.oracles.twap import SPOT, TWAP, quote_at_tick
from simulator.book import open_book
from simulator.oracles.pricing import Oracle, Watched, follows
from tests.simulator.books import BTC, DAI, ETH, START, STEP_S, USD, Account, Asset, make_scenario, make_snapshot, play
from tests.simulator.oracles.trees import MORE, PT, RATE, WAD, WST, YEAR, capped_rate, feed, price_cap, with_trees

AT_ONCE = {"deviation": 0.0, "heartbeat_s": 1e9}
SAFE = {"safe": Account({"ETH": 10.0}, {"USD": 5.0})}
WST_TREE = capped_rate(feed(ETH, "ETH / USD"), RATE, 1.4, WST.price_raw)


def believed(
    asset: Asset,
    trees: Mapping[Asset, Part],
    moves: Mapping[str, float | Sequence[float]],
    oracles: Mapping[str, Any] | None = None,
    **scenario: Any,
) -> list[float]:
    """What the market believes of an asset after each step, over its price at the start."""
    snapshot = with_trees(make_snapshot(SAFE, assets=MORE), trees)
    played = play(snapshot, make_scenario(moves, oracles=AT_ONCE | dict(oracles or {}), **scenario))
    return [row["oracle_raw"] / asset.price_raw for row in played.record.prices if row["token"] == asset.address]


def fault(kind: str, token: str, value: float | None = None, **when: float) -> dict[str, Any]:
    return {"faults": [{"tokens": [token], "kind": kind, **({"value": value} if value else {}), **when}]}


# --- what a price follows -------------------------------------------------------------------------------------------


def test_a_feed_alone_does_what_a_feed_that_was_not_looked_into_does() -> None:
    book = {"a": Account({"ETH": 100.0}, {"USD": 210_000.0})}
    rules = {"deviation": 0.01, "heartbeat_s": 400.0, "delay_s": 60.0}
    scenario = make_scenario({"ETH": [0.97, 0.83, 0.8], "BTC": [1.02, 1.03]}, steps=9, oracles=rules)
    known = {asset: feed(asset) for asset in (ETH, BTC, USD, DAI)}
    plain = play(make_snapshot(book), scenario).record
    assert plain.liquidations
    assert play(with_trees(make_snapshot(book), known), scenario).record == plain


def test_the_price_of_a_wrapped_token_follows_what_its_feed_quotes_and_not_its_own_market() -> None:
    trees = {WST: WST_TREE}
    assert believed(WST, trees, {"ETH": 0.6})[-1] == pytest.approx(0.6, rel=1e-8)
    assert believed(WST, trees, {"wstETH": 0.6})[-1] == 1.0
    assert believed(WST, trees, {"ETH": 0.6, "wstETH": 0.3})[-1] == pytest.approx(0.6, rel=1e-8)
    assert believed(WST, {}, {"ETH": 0.6})[-1] == 1.0


def test_a_feed_that_quotes_what_is_not_in_the_book_follows_the_token_that_it_prices() -> None:
    trees = {WST: capped_rate(feed(ETH, "frxETH / USD"), RATE, 1.4, WST.price_raw)}
    assert believed(WST, trees, {"ETH": 0.6, "wstETH": 0.7})[-1] == pytest.approx(0.7, rel=1e-8)


def test_a_move_of_the_token_counts_once_however_many_sources_quote_what_is_not_in_the_book() -> None:
    def product(first: str, second: str) -> dict[Asset, Part]:
        ratio = Part("Chainlink feed", "0xf5", first, 18, round(RATE * WAD))
        parts = {"asset": ratio, "peg": feed(ETH, second)}
        return {WST: Part("product", "0xf6", "", 8, WST.price_raw, 0, {"denominator": 10**26}, parts)}

    moves = {"wstETH": 0.7, "ETH": 0.6}
    assert believed(WST, product("LBTC / XBTC", "XBTC / USD"), moves)[-1] == pytest.approx(0.7, rel=1e-8)
    assert believed(WST, product("weETH / eETH Exchange Rate", "ETH / USD"), moves)[-1] == pytest.approx(0.6, rel=1e-8)
    assert believed(WST, product("weETH / eETH", "ETH / USD"), moves)[-1] == pytest.approx(0.6, rel=1e-8)


def test_a_price_in_a_loan_token_follows_both_of_its_sides_and_each_once() -> None:
    book = open_book(make_snapshot(SAFE))
    tokens = list(book.markets[0].tokens)
    loan, collateral = tokens.index(USD.address), tokens.index(DAI.address)
    book.markets[0] = SimpleNamespace(tokens=tokens, numeraire=loan)
    row = {symbol: n for n, symbol in enumerate(token.symbol for token in book.tokens)}
    above, below = feed(DAI, "sUSDe / USD"), feed(USD, "USD / USD")
    parts = {"base feed 1": above, "quote feed 1": below}
    tree = Part("Morpho oracle", "0xf6", "", 36, 1, 0, {"scale_factor": 1}, parts)
    assert follows(book, 0, collateral, tree) == {
        id(above): Watched(row["DAI"], None, own=True),
        id(below): Watched(row["USD"], None, own=False),
    }


def test_a_cap_relative_to_what_is_not_in_the_book_binds_when_the_token_rises() -> None:
    parts = {"asset": feed(DAI, "DAI / USD"), "base": Part("Chainlink feed", "0xf5", "EUR / USD", 8, DAI.price_raw)}
    parameters = {"cap_ratio_raw": 104 * 10**6, "ratio_decimals": 8}
    trees = {DAI: Part("relative cap", "0xf6", "", 8, DAI.price_raw, 0, parameters, parts)}
    assert believed(DAI, trees, {"DAI": 1.3})[-1] == pytest.approx(1.04, rel=1e-7)
    assert believed(DAI, trees, {"DAI": 0.8})[-1] == pytest.approx(0.8, rel=1e-7)


def test_a_stablecoin_that_is_priced_as_another_follows_the_other() -> None:
    trees = {DAI: feed(DAI, "USD / USD")}
    assert believed(DAI, trees, {"DAI": 0.65})[-1] == 1.0
    assert believed(DAI, trees, {"USD": 0.9})[-1] == pytest.approx(0.9, rel=1e-7)


def test_a_pair_of_two_tokens_of_the_book_follows_their_ratio() -> None:
    ratio = Part("Chainlink feed", "0xf5", "wstETH / ETH", 18, round(RATE * WAD))
    parts = {"asset": ratio, "peg": feed(ETH, "ETH / USD")}
    trees = {WST: Part("product", "0xf6", "", 8, WST.price_raw, 0, {"denominator": 10**26}, parts)}
    assert believed(WST, trees, {"wstETH": 0.9})[-1] == pytest.approx(0.9, rel=1e-8)
    assert believed(WST, trees, {"wstETH": 0.9, "ETH": 0.5})[-1] == pytest.approx(0.9, rel=1e-8)
    # the first leaf is silent until a move of a tenth: then the second carries the price alone
    own = {"per_token": {"wstETH": {"deviation": 0.2, "heartbeat_s": 1e9}}}
    assert believed(WST, trees, {"wstETH": 0.9}, own)[-1] == 1.0


def test_how_far_a_price_goes_with_each_of_its_leaves_is_told_without_running_it() -> None:
    def powers(tree: Part) -> dict[str, float]:
        book = open_book(with_trees(make_snapshot(SAFE, assets=MORE), {WST: tree}))
        reserve = list(book.markets[0].tokens).index(WST.address)
        oracle = Oracle(book, make_scenario().oracles, 0, reserve, START)
        return {book.tokens[each.of.base].symbol: each.power for each in oracle.followers()}

    wrapped = Part("Chainlink feed", "0xf5", "wstETH / USD", 8, WST.price_raw)
    above = {"asset": feed(ETH, "ETH / USD"), "base": feed(BTC, "BTC / USD")}
    unit = BTC.price_raw * 10**8 // ETH.price_raw
    assert powers(WST_TREE) == {"ETH": 1.0}
    assert powers(Part("quotient", "0xf6", "", 8, unit, 0, {}, above)) == {"ETH": 1.0, "BTC": -1.0}
    assert powers(price_cap(wrapped, 10 * WST.price_usd)) == {"wstETH": 1.0}
    assert powers(price_cap(wrapped, 0.5 * WST.price_usd)) == {}
    assert powers(Part("fixed price", "0xf7", "", 8, WST.price_raw)) == {}


def test_a_price_that_is_computed_is_new_at_every_step_so_that_a_fork_is_told() -> None:
    snapshot = with_trees(make_snapshot(SAFE, assets=MORE), {WST: WST_TREE})
    record = play(snapshot, make_scenario(steps=4, oracles={"deviation": 0.5, "heartbeat_s": 1e9})).record
    assert [row["published"] for row in record.prices if row["token"] == WST.address] == [True] * 4
    assert not any(row["published"] for row in record.prices if row["token"] == ETH.address)


def test_deviation_and_heartbeat_are_the_feeds_own_where_the_scenario_leaves_them_open() -> None:
    known = {ETH: feed(ETH, deviation_ppm=50_000, heartbeat_s=86_400)}
    moves = {"ETH": [0.96, 0.94]}
    snapshot = with_trees(make_snapshot(SAFE), known)

    def spoken(oracles: dict[str, float]) -> list[int]:
        prices = play(snapshot, make_scenario(moves, oracles=oracles)).record.prices
        return [row["step"] for row in prices if row["published"] and row["token"] == ETH.address]

    assert spoken({}) == [2]
    assert spoken({"deviation": 0.03}) == [1]
    assert spoken({"deviation": 0.5, "heartbeat_s": 60.0}) == [1, 2]


# --- what holds it --------------------------------------------------------------------------------------------------


def test_a_feed_is_silent_below_its_least_answer_as_lunas_was_at_0_107() -> None:
    luna = {ETH: feed(ETH, low_raw=round(0.1 * ETH.price_raw))}
    falls = [0.5, 0.107, 0.09, 0.01, 0.0001]
    assert believed(ETH, luna, {"ETH": falls}, steps=6)[1:] == pytest.approx([0.107] * 5, rel=1e-8)
    # it speaks again when the price is back
    assert believed(ETH, luna, {"ETH": [0.01, 0.3]})[-1] == pytest.approx(0.3, rel=1e-8)


def test_dai_at_1_30_liquidates_those_who_owe_it_unless_a_cap_holds_the_price() -> None:
    debtor = {"a": Account({"ETH": 100.0}, {"DAI": 210_000.0})}
    spike = make_scenario(oracles=AT_ONCE | fault("factor", "DAI", 1.30))
    free = play(with_trees(make_snapshot(debtor), {DAI: feed(DAI)}), spike).record
    held = play(with_trees(make_snapshot(debtor), {DAI: price_cap(feed(DAI), 1.04)}), spike).record
    assert {row["account"] for row in free.liquidations} == {"a"}
    assert held.liquidations == held.liquidatable == []

    def price(rows: list[dict[str, Any]]) -> int:
        return next(row["oracle_raw"] for row in rows if row["token"] == DAI.address)

    assert price(free.prices) == round(1.30 * DAI.price_raw)
    assert price(held.prices) == 104_000_000


def test_a_cap_that_was_set_too_low_liquidates_who_was_healthy_as_on_10_march_2026() -> None:
    # wstETH at 1.2288 ETH counts for 1.1938: 2.85 % less. Health at the true price is 1.02
    debt = 100.0 * WST.price_usd * 0.83 / 1.02 / USD.price_usd
    book = {"a": Account({"wstETH": 100.0}, {"USD": debt})}
    pools_aside = {"liquidators": {"sell": "outside", "gas_usd": 0.0, "flash_fee": 0.0}}
    sound = with_trees(make_snapshot(book, assets=MORE), {WST: WST_TREE})
    wrong = with_trees(
        make_snapshot(book, assets=MORE), {WST: capped_rate(feed(ETH, "ETH / USD"), RATE, 1.1938, WST.price_raw)}
    )
    scenario = make_scenario(oracles=AT_ONCE, **pools_aside)
    assert play(sound, scenario).record.liquidations == []
    record = play(wrong, scenario).record
    (low,) = {row["oracle_raw"] for row in record.prices if row["token"] == WST.address}
    assert low / WST.price_raw - 1 == pytest.approx(-0.0285, abs=1e-4)
    assert record.liquidations
    # the borrower loses the bonus and the underpricing; nothing is bad debt
    assert sum(row["profit_usd"] for row in record.liquidations) > 0
    assert record.steps[-1]["bad_debt_economic_usd"] == 0.0


def test_a_rate_that_jumps_counts_up_to_the_cap_and_one_that_falls_counts_whole() -> None:
    trees = {WST: capped_rate(feed(ETH, "ETH / USD"), RATE, 1.25, WST.price_raw)}
    assert believed(WST, trees, {}, fault("rate", "wstETH", 1.5))[-1] == pytest.approx(1.25 / RATE, rel=1e-8)
    assert believed(WST, trees, {}, fault("rate", "wstETH", 0.7))[-1] == pytest.approx(0.7, rel=1e-8)
    assert believed(WST, trees, {}, fault("rate", "ETH", 0.7))[-1] == 1.0


def test_a_price_that_is_hard_coded_at_one_hides_a_loss_until_it_is_too_late() -> None:
    book = {"a": Account({"DAI": 100_000.0}, {"USD": 70_000.0})}
    fixed = with_trees(make_snapshot(book), {DAI: Part("fixed price", "0xf7", "", 8, DAI.price_raw)})
    fall = make_scenario({"DAI": [0.8, 0.6, 0.4]}, steps=4, oracles=AT_ONCE)
    hidden, seen = play(fixed, fall).record, play(make_snapshot(book), fall).record
    assert hidden.liquidatable == hidden.liquidations == []
    assert hidden.steps[-1]["bad_debt_economic_usd"] == pytest.approx(
        70_000 * USD.price_usd - 100_000 * 0.4 * DAI.price_usd / 1.047, rel=1e-4
    )
    assert seen.liquidations
    assert seen.steps[-1]["bad_debt_economic_usd"] < hidden.steps[-1]["bad_debt_economic_usd"] / 2


def test_a_principal_token_goes_to_par_with_its_asset_standing_still() -> None:
    parameters = {"maturity": START + YEAR // 2, "yearly_discount_wad": WAD // 5}
    trees = {PT: Part("PT discount", "0xf8", "", 8, 90_000_000, 0, parameters, {"asset": fixed_dollar()})}
    said = believed(PT, trees, {}, step_s=YEAR / 8, steps=5)
    assert [round(0.9 * x, 8) for x in said] == [0.925, 0.95, 0.975, 1.0, 1.0]


def fixed_dollar() -> Part:
    return Part("fixed price", "0xf9", "", 8, 10**8)


# --- what makes it late ---------------------------------------------------------------------------------------------


def test_a_fall_counts_an_hour_after_the_osm_has_seen_it() -> None:
    hour = START - START % 3600
    parameters = {"hop_s": 3600, "next_raw": ETH.price_raw, "poked_at": hour}
    source = Part("Maker median", "0xfa", "ETH / USD", 8, ETH.price_raw)
    trees = {ETH: Part("Maker OSM", "0xfb", "", 8, ETH.price_raw, 0, parameters, {"source": source})}
    said = believed(ETH, trees, {"ETH": 0.5}, step_s=600.0, steps=18)
    times = [START + 600 * step for step in range(1, 19)]
    # seen at the next full hour, believed at the one after
    assert said == [1.0 if time < hour + 2 * 3600 else 0.5 for time in times]
    assert {1.0, 0.5} == set(said)


def twap_tree(window_s: int) -> Part:
    tick = 1000
    answer = quote_at_tick(tick, WAD, True)
    parameters = {"window_s": window_s, "mean_tick": tick, "spot_tick": tick, "base_is_token0": 1, "one_raw": WAD}
    return Part(TWAP.name, "0xfc", "", 18, answer, 0, parameters, {"spot": Part(SPOT.name, "0xfd", "", 18, answer)})


def test_an_average_believes_a_fall_as_its_window_fills() -> None:
    said = believed(ETH, {ETH: twap_tree(600)}, {"ETH": 0.5}, steps=12)
    assert said[4] == pytest.approx(0.5**0.5, rel=1e-3)
    assert said[9:] == pytest.approx([0.5] * 3, rel=2e-4)
    assert all(a >= b for a, b in pairwise(said))


def test_a_manipulated_pool_moves_what_reads_it_for_as_long_as_it_is_held_and_no_feed() -> None:
    held = fault("manipulated", "ETH", 3.0, from_s=0.0, until_s=STEP_S * 2.0)
    averaged = believed(ETH, {ETH: twap_tree(600)}, {}, held, steps=15)
    assert averaged[0] == pytest.approx(3.0 ** (STEP_S / 600), rel=1e-3)
    assert max(averaged) < 1.2
    assert averaged[-1] == pytest.approx(1.0, rel=2e-4)
    spot = Part(SPOT.name, "0xfe", "", 8, ETH.price_raw)
    assert believed(ETH, {ETH: spot}, {}, held, steps=3) == [3.0, 1.0, 1.0]
    assert believed(ETH, {ETH: feed(ETH)}, {}, held) == [1.0, 1.0]


def test_a_feed_that_is_stuck_is_stuck_wherever_its_answer_is_used() -> None:
    trees = {WST: WST_TREE, ETH: feed(ETH)}
    stuck = fault("stuck", "ETH", until_s=STEP_S * 2.5)
    assert believed(ETH, trees, {"ETH": 0.7}, stuck, steps=3) == pytest.approx([1.0, 1.0, 0.7], rel=1e-8)
    assert believed(WST, trees, {"ETH": 0.7}, stuck, steps=3) == pytest.approx([1.0, 1.0, 0.7], rel=1e-8)


def test_a_fault_of_a_token_without_a_feed_of_its_own_hits_its_finished_price() -> None:
    trees = {WST: WST_TREE, ETH: feed(ETH)}
    assert believed(WST, trees, {"ETH": 0.8}, fault("factor", "wstETH", 0.5))[-1] == pytest.approx(0.4, rel=1e-8)
    assert believed(ETH, trees, {"ETH": 0.8}, fault("factor", "wstETH", 0.5))[-1] == pytest.approx(0.8, rel=1e-8)
    late = fault("late", "wstETH", 2.0 * STEP_S)
    assert believed(WST, trees, {"ETH": 0.8}, late, steps=4) == pytest.approx([1.0, 1.0, 0.8, 0.8], rel=1e-8)
    stuck = fault("stuck", "wstETH")
    assert believed(WST, trees, {"ETH": 0.8}, stuck) == [1.0, 1.0]
    hard = {DAI: Part("fixed price", "0xf7", "", 8, DAI.price_raw)}
    assert believed(DAI, hard, {}, fault("factor", "DAI", 0.5, until_s=STEP_S * 1.5)) == [0.5, 1.0]


# --- the chain stands still -----------------------------------------------------------------------------------------

OUTAGE = {"from_s": STEP_S * 1.0, "until_s": STEP_S * 4.0, "grace_s": STEP_S * 3.0}
FALLS = {"ETH": [0.99, 0.9, 0.8, 0.7, 0.7]}


def outage_record(version: str, debt: float) -> Any:
    snapshot = make_snapshot({"a": Account({"ETH": 100.0}, {"USD": debt})}, version=version)
    return play(snapshot, make_scenario(FALLS, steps=9, oracles=AT_ONCE | {"sequencer": OUTAGE})).record


def test_while_the_sequencer_is_down_nothing_happens_and_then_the_price_jumps() -> None:
    record = outage_record("3.7", 200_000.0)
    prices = [row for row in record.prices if row["token"] == ETH.address]
    assert [row["published"] for row in prices] == [False, False, False, True, True, True, True, True, True]
    assert prices[2]["oracle_raw"] == ETH.price_raw
    assert prices[3]["oracle_raw"] == round(0.7 * ETH.price_raw)
    assert min(row["step"] for row in record.liquidations) == 4
    assert all(row["step"] >= 4 for row in record.swaps)


def test_in_the_grace_aave_before_3_7_lets_through_only_health_factors_below_0_95() -> None:
    # at 70 % of its price 100 ETH carry a debt of 168,700: one owes 2 % more than that, one 20 % more
    slightly, deeply = 172_000.0, 202_000.0
    assert min(row["step"] for row in outage_record("3.6", slightly).liquidations) == 7
    assert min(row["step"] for row in outage_record("3.6", slightly).liquidatable) == 4
    assert min(row["step"] for row in outage_record("3.6", deeply).liquidations) == 4
    assert min(row["step"] for row in outage_record("3.7", slightly).liquidations) == 4


# --- auctions of the right to act first -----------------------------------------------------------------------------


def auctioned(auction: Mapping[str, Any] | None, **parameters: int) -> Any:
    snapshot = make_snapshot({"a": Account({"ETH": 100.0}, {"USD": 210_000.0})})
    snapshot = with_trees(snapshot, {ETH: feed(ETH, **parameters)})
    oracles = AT_ONCE | ({} if auction is None else {"auction": auction})
    return play(snapshot, make_scenario({"ETH": 0.8}, steps=4, oracles=oracles)).record


def test_the_winner_of_an_auction_hands_back_its_share_of_the_profit() -> None:
    free, shared = auctioned(None, fallback_s=36), auctioned({"share": 0.6}, fallback_s=36)
    assert [row["repaid_raw"] for row in shared.liquidations] == [row["repaid_raw"] for row in free.liquidations]
    for row, alone in zip(shared.liquidations, free.liquidations, strict=True):
        assert row["auction_usd"] == pytest.approx(0.6 * alone["profit_usd"], rel=1e-9)
        assert row["profit_usd"] == pytest.approx(0.4 * alone["profit_usd"], rel=1e-9)
    assert sum(row["auction_usd"] for row in shared.steps) > 0
    assert all(row["auction_usd"] == 0.0 for row in free.liquidations)


def test_only_feeds_that_are_auctioned_give_anything_back() -> None:
    assert all(row["auction_usd"] == 0.0 for row in auctioned({"share": 0.6}).liquidations)
    assert all(row["auction_usd"] > 0.0 for row in auctioned({"share": 0.6, "tokens": ["ETH"]}).liquidations)


def test_without_bidders_reports_are_late_by_the_fallback_and_nothing_is_handed_back() -> None:
    silent = auctioned({"share": 0.6, "bidders": False}, fallback_s=90)
    assert min(row["step"] for row in auctioned({"share": 0.6}, fallback_s=90).liquidations) == 1
    assert min(row["step"] for row in silent.liquidations) == 3
    assert all(row["auction_usd"] == 0.0 for row in silent.liquidations)
    given = auctioned({"share": 0.6, "bidders": False, "fallback_s": 30.0}, fallback_s=90)
    assert min(row["step"] for row in given.liquidations) == 2


# --- what is not as it should be ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oracles", "words"),
    [
        ({"sequencer": {"from_s": 60.0, "until_s": 60.0}}, "until_s must be later"),
        ({"auction": {"tokens": ["ETH"]}}, "oracles.auction.share"),
        ({"auction": {"share": 1.5}}, "oracles.auction.share"),
        (fault("manipulated", "ETH"), "value is needed"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused(oracles: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_scenario(oracles=oracles)


def test_an_auction_of_a_token_that_is_not_there_is_refused() -> None:
    scenario = make_scenario(oracles={"auction": {"share": 0.5, "tokens": ["DOGE"]}})
    with pytest.raises(InputError, match=r"oracles\.auction: the snapshot has no token DOGE"):
        play(make_snapshot(SAFE), scenario)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "crystal ball"}, "no kind of price source is called 'crystal ball'"),
        ({"parent": 7}, "hangs on part 7"),
    ],
)
def test_a_tree_that_makes_no_sense_is_refused(change: dict[str, Any], words: str) -> None:
    snapshot = with_trees(make_snapshot(SAFE), {ETH: feed(ETH)})
    rows = [row | change for row in snapshot.tables[ORACLE_PARTS.name].rows()]
    broken = replace(snapshot, tables={**snapshot.tables, ORACLE_PARTS.name: Table.from_rows(ORACLE_PARTS, rows)})
    with pytest.raises(InputError, match=words):
        open_book(broken)
