"""Compound v2's markets and Venus' core pool as the engine steps them: what is true of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.blocktime import MILLISECONDS, block_ms, blocks_in
from chain.errors import InputError, UnsupportedError
from protocols.arithmetic import max_uint256
from protocols.lending.compound_v2.balances import debt_of, exchange_rate
from protocols.lending.compound_v2.market import CompoundV2Market
from protocols.lending.compound_v2.state import WAD
from protocols.lending.compound_v2.versions import UNVERIFIED, VERSIONS
from protocols.lending.interface import LendingMarket
from protocols.lending.venus_core.versions import VERSIONS as VENUS_VERSIONS
from tests.protocols.compound_books import BLOCK_MS, CLOCK, ETH, NAMES, NOW, TOKENS, USDC, random_book, simple_book

DATA = Path(__file__).parent.parent / "vectors" / "data"
CLAIMS = 500 * 10**8
seeds = st.integers(0, 2**40)
protocols = st.sampled_from(NAMES)


def short_market(protocol: str = "compound_v2", **columns: list[int]) -> CompoundV2Market:
    """An account that owes 15,400 dollars, a little more than it may."""
    return simple_book(CLAIMS, 15_400 * 10**6, **columns).market(protocol)


@pytest.mark.parametrize("protocol", NAMES)
def test_it_is_a_lending_market(protocol: str) -> None:
    market: LendingMarket = simple_book(CLAIMS, 10**9).market(protocol)
    assert (market.protocol, market.numeraire, list(market.standing_offers())) == (protocol, None, [])
    assert [market.price_unit(reserve) for reserve in range(3)] == [WAD, 10**30, 10**28]
    assert market.price_raw(ETH) / market.price_unit(ETH) == 2_000


def test_a_version_without_rules_is_refused_by_name() -> None:
    book = simple_book(CLAIMS, 10**9)
    with pytest.raises(UnsupportedError, match="'1'"):
        CompoundV2Market("m", "1", ["0x0"], TOKENS, book.markets, book.pools, book.positions, book.compound, CLOCK)


def test_a_version_is_unverified_exactly_where_no_recorded_answers_lie() -> None:
    for version in (*VERSIONS.values(), *VENUS_VERSIONS.values()):
        files = [] if version.verified_by == UNVERIFIED else version.verified_by.split(", ")
        assert all((DATA / f"{file}.json.gz").exists() for file in files)
    assert short_market().caveat == ""
    assert short_market("venus_core").caveat == ""


def test_state_that_does_not_fit_is_refused() -> None:
    book = simple_book(CLAIMS, 10**9)
    with pytest.raises(InputError, match="reserves"):
        simple_book(CLAIMS, 10**9, reserves_raw=[10**30] * 3).market()
    with pytest.raises(InputError, match="3 rows"):
        simple_book(CLAIMS, 10**9, claims=[1, 2]).market()
    with pytest.raises(InputError, match="2 accounts"):
        replace(book, positions=book.positions._replace(pool=[0, 0])).market()
    with pytest.raises(InputError, match="guards"):
        replace(book, guards=book.guards._replace(pending=[False])).market("venus_core")


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_does_not_go_back() -> None:
    with pytest.raises(InputError, match="cannot go back"):
        short_market().advance(NOW - 1)


@pytest.mark.parametrize("protocol", NAMES)
def test_every_market_accrues_when_time_passes_in_whole_blocks(protocol: str) -> None:
    market = short_market(protocol)
    market.advance(NOW + BLOCK_MS // 1_000 - 1)
    assert market.state()[0].accrued_block == [CLOCK.block] * 3
    market.advance(NOW + BLOCK_MS // 1_000)
    assert market.state()[0].accrued_block == [CLOCK.block + 1] * 3
    market.advance(NOW + 3_600)
    assert market.state()[0].accrued_block == [CLOCK.block + 300] * 3


def test_steps_of_any_length_come_to_the_same_block() -> None:
    stepped = short_market()
    for second in range(0, 1_000, 7):
        stepped.advance(NOW + second)
    stepped.advance(NOW + 1_000)
    assert stepped.state()[0].accrued_block == [CLOCK.block + 83] * 3


def test_a_chain_has_the_pace_it_had_then_and_one_that_is_not_known_is_refused() -> None:
    assert block_ms(1, 1_600_000_000) == 13_300
    assert block_ms(1, 1_663_224_178) == 13_300
    assert block_ms(1, 1_663_224_179) == 12_000
    assert block_ms(56, 1_748_000_000) == 1_500
    assert blocks_in(10, 750) == 13
    assert all(paces == tuple(sorted(paces)) and paces[0][0] == 0 for paces in MILLISECONDS.values())
    with pytest.raises(UnsupportedError, match="chain 5"):
        block_ms(5, 0)


# --- liquidation ------------------------------------------------------------------------------------------------------


def test_the_liquidator_redeems_what_is_left_of_the_seizure() -> None:
    market = short_market()
    (offer,) = market.offers(0)
    assert (offer.collateral, offer.debt, offer.most_raw) == (ETH, USDC, 7_700 * 10**6)
    before, _ = market.state()
    terms = market.settle(offer, offer.most_raw).terms
    after, positions = market.state()
    assert terms.received_raw == before.cash_raw[ETH] - after.cash_raw[ETH]
    assert terms.received_raw == pytest.approx(7_700 * 1.08 * 0.972 / 2_000 * 10**18, rel=1e-9)
    assert terms.fee_raw == after.reserves_raw[ETH] - before.reserves_raw[ETH]
    assert terms.fee_raw == pytest.approx(7_700 * 1.08 * 0.028 / 2_000 * 10**18, rel=1e-7)
    assert CLAIMS - positions.claims[0] == before.claims[ETH] - after.claims[ETH] > terms.claim_raw


@settings(max_examples=40, deadline=None)
@given(seeds, protocols)
def test_the_most_that_is_offered_is_accepted_and_a_unit_more_is_not(seed: int, protocol: str) -> None:
    market = random_book(seed).market(protocol)
    market.advance(NOW + 600)
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            terms = market.terms(offer, offer.most_raw)
            assert not terms.refusal
            assert terms.repaid_raw == offer.most_raw > 0
            assert market.terms(offer, offer.most_raw // 2 + 1).refusal == ""
            for more in (offer.most_raw + 1, offer.most_raw * 2, max_uint256()):
                assert market.terms(offer, more).refusal
                assert market.terms(offer, more).received_raw == 0


@settings(max_examples=40, deadline=None)
@given(seeds, protocols)
def test_settling_keeps_to_the_terms_and_writes_nothing_off(seed: int, protocol: str) -> None:
    market = random_book(seed).market(protocol)
    market.advance(NOW + 600)
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            before = market.state()
            terms = market.terms(offer, offer.most_raw)
            assert market.state() == before
            settlement = market.settle(offer, offer.most_raw)
            assert settlement.terms == terms
            assert settlement.deficits_raw == ()
            if terms.refusal:
                assert market.state() == before
    assert list(market.deficits_raw()) == [0, 0, 0]


def test_cash_bounds_what_is_offered() -> None:
    market = short_market(
        cash_raw=[15 * 10**17, 8 * 10**12, 70 * 10**8], borrows_raw=[10_098_500 * 10**15, 3 * 10**12, 3 * 10**8]
    )
    (offer,) = market.offers(0)
    received = market.terms(offer, offer.most_raw).received_raw
    assert received == pytest.approx(15 * 10**17, rel=1e-6)
    assert received <= 15 * 10**17
    assert market.terms(offer, offer.most_raw + 10**6).refusal == "RedeemTransferOutNotPossible()"


def test_a_debt_in_a_deprecated_market_is_offered_whole_to_all() -> None:
    book = simple_book(CLAIMS, 10**9, borrow_paused=[False, True, False], reserve_factor_wad=[0, WAD, 0])
    book.pools.threshold_wad[0][USDC] = 0
    market = book.market()
    assert market.health_raw(0) > 0
    assert market.is_liquidatable(0)
    assert market.open_accounts() == [0]
    assert [offer.most_raw for offer in market.offers(0)] == [10**9]
    assert simple_book(CLAIMS, 10**9).market().open_accounts() == []


# --- the float view ---------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seeds, protocols)
def test_exposures_are_the_exact_positions_within_a_billionth(seed: int, protocol: str) -> None:
    book = random_book(seed)
    market = book.market(protocol)
    market.advance(NOW + 10_000)
    for account in range(len(market.accounts)):
        for offer in market.offers(account)[:1]:
            market.settle(offer, offer.most_raw)
    markets, positions = market.state()
    seen = market.exposures()
    for entry, m in enumerate(positions.market):
        unit = markets.unit[m]
        held = exchange_rate(markets, m) * positions.claims[entry] / WAD
        assert seen.supplied[entry] * unit == pytest.approx(held, rel=1e-9, abs=1)
        assert seen.debt[entry] * unit == pytest.approx(debt_of(markets, positions, entry), rel=1e-9, abs=1)
        if not positions.entered[entry]:
            assert seen.threshold[entry] == seen.ltv[entry] == 0.0
    for account in range(len(market.accounts)):
        span = slice(seen.offsets[account], seen.offsets[account + 1])
        prices = [market.price_raw(m) / market.price_unit(m) for m in seen.reserve[span]]
        limit = (seen.supplied[span] * seen.threshold[span] * prices).sum()
        owed = (seen.debt[span] * prices).sum()
        units = sum(price / markets.unit[m] for price, m in zip(prices, seen.reserve[span], strict=True))
        assert limit - owed == pytest.approx(market.health_raw(account) / WAD, abs=1e-9 * (limit + owed) + 2 * units)
