"""The Comet that the engine steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InputError, UnsupportedError
from protocols.lending.compound_v3.market import NOBODY, CompoundV3Market
from protocols.lending.compound_v3.state import BASE, Positions
from protocols.lending.interface import LendingMarket, Offer
from tests.protocols.compound_v3_markets import NOW, YEAR, Comet, random_comet, simple_comet

ETH = 1
ONE_ETH, ONE_USDC = 10**18, 10**6
seeds = st.integers(0, 2**40)
waits = st.sampled_from([0, 1, 3_600, YEAR // 4])


def absorption(account: int = 0) -> Offer:
    return Offer(account, ETH, BASE, 0, unpaid=True)


def later(comet: Comet, seconds: int) -> CompoundV3Market:
    market = comet.market()
    market.advance(NOW + seconds)
    return market


# --- what it is -------------------------------------------------------------------------------------------------


def test_it_is_a_lending_market() -> None:
    market: LendingMarket = simple_comet(ONE_ETH, 1_000 * ONE_USDC).market()
    assert (market.protocol, market.price_unit(BASE), market.price_unit(ETH)) == ("compound_v3", 10**8, 10**8)
    assert market.numeraire is None
    assert market.caveat == ""


def test_the_contract_without_recorded_answers_says_so_and_one_without_rules_is_refused() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    assert "unverified" in comet.market("Comet").caveat
    with pytest.raises(UnsupportedError, match="CometModified"):
        comet.market("CometModified")


def test_time_does_not_go_back_and_state_fits_its_accounts_and_its_time() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    with pytest.raises(InputError, match="cannot go back"):
        comet.market().advance(NOW - 1)
    state = comet.configuration, comet.totals, comet.reserves, comet.positions
    with pytest.raises(InputError, match="its state is of"):
        CompoundV3Market("comet", "Comet", ["a"], ["usdc", "eth"], *state, NOW - 1)
    with pytest.raises(InputError, match="1 accounts"):
        replace(comet, positions=Positions([-1], [0], [], [])).market()


def test_the_price_of_the_unit_of_account_does_not_change() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    state = comet.configuration, comet.totals, comet.reserves, comet.positions
    market = CompoundV3Market("comet", "Comet", ["a"], ["usdc", "eth"], *state, NOW, numeraire=BASE)
    market.set_price(ETH, 2_000 * 10**8)
    with pytest.raises(InputError, match="counts in usdc"):
        market.set_price(BASE, 10**8)


# --- absorption ---------------------------------------------------------------------------------------------------


def test_a_debt_of_exactly_what_is_covered_is_healthy_and_one_unit_more_is_not() -> None:
    # 0.9 times 2,003 dollars, at one dollar a USDC
    comet = simple_comet(ONE_ETH, 1_802_700_000)
    comet.reserves.price_raw[BASE] = 10**8
    market = comet.market()
    assert (market.health_raw(0), market.is_liquidatable(0), market.offers(0)) == (0, False, [])
    assert market.settle(absorption(), 0).terms.refusal == "NotLiquidatable"
    assert market.state()[2] == comet.positions
    comet.positions.principal[0] -= 1
    market = comet.market()
    assert (market.health_raw(0), market.is_liquidatable(0), market.offers(0)) == (-100, True, [absorption()])


def test_interest_makes_an_account_absorbable_before_any_view_shows_it() -> None:
    comet = simple_comet(ONE_ETH, 1_804_504_504)
    comet.configuration = comet.configuration._replace(borrow_base=10**10)
    assert not later(comet, 0).is_liquidatable(0)
    assert later(comet, 1).is_liquidatable(0)


def test_what_the_collateral_is_credited_with_above_the_debt_becomes_a_supply() -> None:
    market = simple_comet(ONE_ETH, 1_850 * ONE_USDC).market()
    before = market.protocol_reserves_raw()
    settlement = market.settle(absorption(), 0)
    # 95 % of 2,003 dollars are 1,902.85, which are 1,904.754754 USDC at 0.999
    assert market.state()[2].principal == [54_754_754]
    assert settlement.deficits_raw == ()
    assert settlement.borne_by == ""
    assert before - market.protocol_reserves_raw() == 1_904_754_754
    assert market.collateral_reserves_raw(ETH) == ONE_ETH


def test_what_it_is_short_of_the_debt_is_the_loss_of_reserves() -> None:
    market = simple_comet(ONE_ETH, 2_000 * ONE_USDC).market()
    before = market.protocol_reserves_raw()
    settlement = market.settle(absorption(), 0)
    assert market.state()[2].principal == [0]
    assert settlement.deficits_raw == ((BASE, 2_000_000_000 - 1_904_754_754),)
    assert settlement.borne_by == "protocol reserves"
    assert before - market.protocol_reserves_raw() == 2_000 * ONE_USDC
    assert market.deficits_raw() == (95_245_246, 0)
    assert market.offers(0) == []


def test_an_absorbed_account_is_not_absorbed_again() -> None:
    market = simple_comet(ONE_ETH, 2_000 * ONE_USDC).market()
    market.settle(absorption(), 0)
    assert market.settle(absorption(), 0).terms.refusal == "NotLiquidatable"


def test_absorption_pays_and_costs_nothing() -> None:
    market = simple_comet(ONE_ETH, 2_000 * ONE_USDC).market()
    (offer,) = market.offers(0)
    assert (offer.unpaid, offer.most_raw) == (True, 0)
    terms = market.terms(offer, 0)
    assert (terms.repaid_raw, terms.received_raw, terms.fee_raw, terms.refusal) == (0, 0, 0, "")
    assert market.settle(offer, 0).terms == terms


def test_the_most_valuable_collateral_names_an_absorption() -> None:
    for seed in range(20):
        comet = random_comet(seed)
        market, values = comet.market(), comet.reserves
        for account in range(len(market.accounts)):
            span = range(comet.positions.offsets[account], comet.positions.offsets[account + 1])
            worth = {
                comet.positions.reserve[e]: comet.positions.balance_raw[e]
                * values.price_raw[comet.positions.reserve[e]]
                / values.scale[comet.positions.reserve[e]]
                for e in span
            }
            for offer in market.offers(account):
                assert worth[offer.collateral] == max(worth.values())


@pytest.mark.parametrize("row", [BASE, ETH])
def test_without_a_price_nothing_is_absorbed(row: int) -> None:
    market = simple_comet(ONE_ETH, 2_000 * ONE_USDC).market()
    market.set_price(row, 0)
    assert market.offers(0) == []
    assert not market.is_liquidatable(0)
    assert market.settle(absorption(), 0).terms.refusal == "BadPrice"


def test_a_price_that_cannot_change_the_answer_is_not_asked_for() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    for column, value in zip(comet.reserves, (10**18, 0, 5, 7, 9, 3, 3), strict=True):
        column.append(value)
    comet = replace(comet, positions=Positions([-1_000 * ONE_USDC], [0, 2], [1, 2], [ONE_ETH, 3]))
    assert comet.market().settle(absorption(), 0).terms.refusal == "NotLiquidatable"
    comet.reserves.price_raw[ETH] = 1_000 * 10**8
    assert comet.market().settle(absorption(), 0).terms.refusal == "BadPrice"


def test_a_paused_market_absorbs_and_sells_nothing() -> None:
    comet = simple_comet(ONE_ETH, 2_000 * ONE_USDC)
    comet.reserves.balance_raw[ETH] += ONE_ETH
    comet.configuration = comet.configuration._replace(absorb_paused=True, buy_paused=True)
    market = comet.market()
    assert (market.offers(0), market.standing_offers()) == ([], [])
    assert market.settle(absorption(), 0).terms.refusal == "Paused"
    assert market.settle(Offer(NOBODY, ETH, BASE, 1), 1).terms.refusal == "Paused"


# --- the shop window ----------------------------------------------------------------------------------------------


def test_absorbed_collateral_is_sold_at_the_discount() -> None:
    market = simple_comet(ONE_ETH, 2_000 * ONE_USDC).market()
    market.settle(absorption(), 0)
    (offer,) = market.standing_offers()
    assert (offer.account, offer.collateral, offer.debt, offer.unpaid) == (NOBODY, ETH, BASE, False)
    # half of 5 % is the discount: 1,952.925 dollars, or 1,954.88 USDC
    assert offer.most_raw == 1_954_879_879
    terms = market.terms(offer, offer.most_raw)
    assert ONE_ETH - terms.received_raw < 10**12
    before = market.protocol_reserves_raw()
    assert market.settle(offer, offer.most_raw).terms == terms
    assert market.protocol_reserves_raw() - before == terms.repaid_raw == offer.most_raw
    assert market.standing_offers() == []
    assert market.collateral_reserves_raw(ETH) == ONE_ETH - terms.received_raw


def test_nothing_is_for_sale_once_reserves_are_at_their_target() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    comet.reserves.balance_raw[ETH] += 3 * ONE_ETH
    comet.configuration = comet.configuration._replace(target_reserves_raw=comet.market().protocol_reserves_raw() + 1)
    market = comet.market()
    (offer,) = market.standing_offers()
    market.settle(offer, 1)
    assert market.standing_offers() == []
    assert market.settle(offer, 1).terms.refusal == "NotForSale"


def test_the_same_offer_made_twice_is_refused_the_second_time() -> None:
    market = simple_comet(ONE_ETH, 2_000 * ONE_USDC).market()
    market.settle(absorption(), 0)
    (offer,) = market.standing_offers()
    market.settle(offer, offer.most_raw)
    before = market.state()
    assert market.settle(offer, offer.most_raw).terms.refusal == "InsufficientReserves"
    assert market.state() == before


def test_a_discount_of_the_whole_price_cannot_be_quoted() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    comet.reserves.balance_raw[ETH] += ONE_ETH
    comet.reserves.liquidation_factor[ETH] = 0
    comet.configuration = comet.configuration._replace(store_front_factor=10**18)
    market = comet.market()
    assert market.standing_offers() == []
    assert market.settle(Offer(NOBODY, ETH, BASE, 1), 1).terms.refusal == "Panic(0x12)"
    assert np.isinf(market.exposures().bonus[1])


def test_where_the_contract_holds_less_than_it_owes_nothing_is_sold() -> None:
    comet = simple_comet(ONE_ETH, 1_000 * ONE_USDC)
    comet.reserves.balance_raw[ETH] -= 1
    market = comet.market()
    assert market.standing_offers() == []
    assert market.settle(Offer(NOBODY, ETH, BASE, 1), 1).terms.refusal == "Panic(0x11)"


@settings(max_examples=60, deadline=None)
@given(seeds, waits)
def test_the_most_that_is_offered_is_accepted_and_more_gives_no_more(seed: int, seconds: int) -> None:
    market = later(random_comet(seed), seconds)
    for offer in market.standing_offers():
        most = market.terms(offer, offer.most_raw)
        assert not most.refusal
        assert 0 < most.received_raw <= market.collateral_reserves_raw(offer.collateral)
        assert market.terms(offer, offer.most_raw - 1).received_raw < most.received_raw
        more = market.terms(offer, offer.most_raw + 1)
        assert more.refusal == "InsufficientReserves" or more.received_raw == most.received_raw
    # a sale can bring reserves to their target, so that the next is refused
    for offer in market.standing_offers():
        most = market.terms(offer, offer.most_raw)
        assert most.refusal in ("", "NotForSale")
        assert market.settle(offer, offer.most_raw).terms == most


# --- laws -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seeds, waits)
def test_reserves_fall_by_what_an_account_is_credited_with(seed: int, seconds: int) -> None:
    comet = random_comet(seed)
    market = later(comet, seconds)
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            before = market.protocol_reserves_raw()
            settlement = market.settle(offer, 0)
            totals, _, positions = market.state()
            debt = -comet.positions.principal[account] * totals.borrow_index // 10**15
            supply = max(positions.principal[account], 0) * totals.supply_index // 10**15
            written_off = dict(settlement.deficits_raw).get(BASE, 0)
            assert abs(before - market.protocol_reserves_raw() - debt - supply) <= 2
            assert 0 <= written_off <= debt
            assert not (written_off and supply)


@settings(max_examples=40, deadline=None)
@given(seeds, waits)
def test_exposures_are_the_exact_positions_within_a_billionth(seed: int, seconds: int) -> None:
    market = later(random_comet(seed), 0)
    for account in range(0, len(market.accounts), 2):
        for offer in market.offers(account):
            market.settle(offer, 0)
    market.advance(NOW + seconds)
    _, reserves, positions = market.state()
    seen = market.exposures()
    prices = np.array(reserves.price_raw, dtype=float)
    for account, principal in enumerate(positions.principal):
        span = slice(seen.offsets[account], seen.offsets[account + 1])
        first = positions.offsets[account]
        assert seen.reserve[span.start] == BASE
        assert bool(seen.debt[span].any()) == (principal < 0)
        assert bool(seen.supplied[span.start]) == (principal > 0)
        held = positions.balance_raw[first : positions.offsets[account + 1]]
        units = np.array([float(reserves.scale[r]) for r in seen.reserve[span][1:]])
        assert seen.supplied[span][1:] * units == pytest.approx(np.array(held, dtype=float), rel=1e-9)
        value = prices[seen.reserve[span]]
        covered = float((seen.supplied[span] * value * seen.threshold[span]).sum())
        owed = float((seen.debt[span] * value).sum())
        assert covered - owed == pytest.approx(market.health_raw(account), abs=1e-9 * (covered + owed) + 1_000)


def test_the_bonus_of_an_exposure_is_the_discount_of_its_sale() -> None:
    seen = simple_comet(ONE_ETH, 1_000 * ONE_USDC).market().exposures()
    assert seen.bonus.tolist() == pytest.approx([1.0, 1 / 0.975])
    assert seen.threshold.tolist() == pytest.approx([0.0, 0.90])
    assert seen.ltv.tolist() == pytest.approx([0.0, 0.85])
