"""A Morpho market that the engine steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InputError, UnsupportedError
from protocols.lending.interface import LendingMarket, Offer
from protocols.lending.morpho_blue.irm import ADAPTIVE_CURVE, FIXED_RATE, INITIAL_RATE_AT_TARGET, NO_INTEREST
from protocols.lending.morpho_blue.market import COLLATERAL, LOAN, MorphoBlueMarket
from protocols.lending.morpho_blue.rules import borrow_limit
from protocols.lending.morpho_blue.shares import WAD
from protocols.lending.morpho_blue.state import Parameters, Position, Totals

NOW = 1_700_000_000
LLTV = 86 * WAD // 100
PRICE = 2_000 * 10 ** (36 + 6 - 18)
"""2000 USDC a WETH, as Morpho reads it."""
ETH, USDC = 10**18, 10**6


def market_of(
    *positions: tuple[float, float],
    price: int = PRICE,
    irm: int = NO_INTEREST,
    rate: int = 0,
    version: str = "1.0",
) -> MorphoBlueMarket:
    """A WETH / USDC market of positions given as whole WETH and whole USDC, half of it lent out."""
    debts = [int(debt * USDC) for _, debt in positions]
    # a share has come to be worth 1.25 millionths of a unit
    shares = [debt * 800_000 for debt in debts]
    totals = Totals(2 * sum(debts), 2 * sum(debts) * 10**6, sum(debts), sum(shares), NOW - 1_000)
    return MorphoBlueMarket(
        name="morpho-blue/1",
        version=version,
        accounts=[f"account {i}" for i in range(len(positions))],
        tokens=("weth", "usdc"),
        decimals=(18, 6),
        parameters=Parameters(LLTV, WAD // 10, irm),
        rate_wad=rate,
        totals=totals,
        positions=[Position(s, int(c * ETH)) for s, (c, _) in zip(shares, positions, strict=True)],
        price_raw=price,
        timestamp=NOW,
    )


books = st.lists(st.tuples(st.floats(0.001, 1_000), st.floats(0.3, 2.0)), min_size=1, max_size=5).map(
    lambda rows: market_of(
        *((held, held * 2_000 * ltv) for held, ltv in rows), irm=ADAPTIVE_CURVE, rate=INITIAL_RATE_AT_TARGET
    )
)


def offers_of(market: MorphoBlueMarket) -> Iterator[Offer]:
    """Every account's, asked for when its turn comes: a liquidation before it moves what a debt share is worth."""
    for account in range(len(market.accounts)):
        yield from market.offers(account)


def test_it_is_a_lending_market_whose_unit_of_account_is_the_loan_token() -> None:
    market: LendingMarket = market_of((1, 1_000))
    assert (market.protocol, market.version, market.caveat) == ("morpho_blue", "1.0", "")
    assert market.numeraire == LOAN
    assert market.price_raw(COLLATERAL) / market.price_unit(COLLATERAL) == 2_000
    assert market.price_raw(LOAN) / market.price_unit(LOAN) == 1
    assert market.standing_offers() == []


def test_the_loan_token_has_no_price_to_set() -> None:
    with pytest.raises(InputError, match="usdc"):
        market_of((1, 1_000)).set_price(LOAN, 2)


def test_versions_and_models_without_rules_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"2\.0"):
        market_of((1, 1_000), version="2.0")
    with pytest.raises(UnsupportedError, match="model 7"):
        market_of((1, 1_000), irm=7)


def test_time_does_not_go_back() -> None:
    market = market_of((1, 1_000))
    market.advance(NOW + 10)
    with pytest.raises(InputError, match="cannot go back"):
        market.advance(NOW + 9)


@settings(max_examples=60, deadline=None)
@given(books)
def test_the_most_that_is_offered_takes_all_and_more_gives_no_more(market: MorphoBlueMarket) -> None:
    positions = market.state()[1]
    for offer in offers_of(market):
        most = market.terms(offer, offer.most_raw)
        assert not most.refusal
        assert most.repaid_raw == offer.most_raw
        assert market.terms(offer, offer.most_raw * 2) == most
        done = market.settle(offer, offer.most_raw)
        left = market.state()[1][offer.account]
        assert left == Position(0, positions[offer.account].collateral - most.received_raw)
        assert bool(done.deficits_raw) <= (left.collateral == 0)


@settings(max_examples=60, deadline=None)
@given(books, st.floats(0, 0.999_999))
def test_less_costs_what_was_offered_but_for_less_than_a_unit_and_writes_nothing_off(
    market: MorphoBlueMarket, part: float
) -> None:
    for offer in offers_of(market):
        amount = int(offer.most_raw * part)
        terms = market.terms(offer, amount)
        if amount == 0:
            assert terms.refusal == "inconsistent input"
            continue
        assert terms.repaid_raw == amount
        settled = market.settle(offer, amount)
        assert (settled.terms, settled.deficits_raw, settled.borne_by) == (terms, (), "")
        assert market.state()[1][offer.account].collateral > 0


@settings(max_examples=60, deadline=None)
@given(books, st.floats(0, 1.5))
def test_terms_and_refused_settlements_change_nothing(market: MorphoBlueMarket, part: float) -> None:
    before = market.state()
    for offer in offers_of(market):
        market.terms(offer, int(offer.most_raw * part))
        market.settle(offer, 0)
    assert market.state() == before


def test_what_cannot_be_repaid_is_the_lenders_loss_at_once() -> None:
    market = market_of((1, 3_000), (10, 5_000))
    before, _ = market.state()
    (offer,) = market.offers(0)
    done = market.settle(offer, offer.most_raw)
    after, _ = market.state()
    assert done.terms.received_raw == ETH
    assert offer.most_raw / USDC == pytest.approx(2_000 / 1.043841336)
    ((reserve, lost),) = done.deficits_raw
    assert (reserve, done.borne_by) == (LOAN, "lenders of the market")
    assert lost / USDC == pytest.approx(3_000 - 2_000 / 1.043841336)
    assert before.supply_assets - after.supply_assets == lost
    assert market.deficits_raw() == (0, lost)
    assert not market.is_liquidatable(1)


def test_at_a_price_of_zero_all_collateral_goes_for_nothing() -> None:
    market = market_of((1, 1_000), price=0)
    (offer,) = market.offers(0)
    assert offer.most_raw == 1
    done = market.settle(offer, 1)
    assert (done.terms.repaid_raw, done.terms.received_raw) == (0, ETH)
    assert market.deficits_raw() == (0, 1_000 * USDC)


def test_interest_compounds_only_when_somebody_is_liquidated() -> None:
    rate = WAD // 10 // (365 * 86_400)
    stepped, at_once = (market_of((1, 1_700), irm=FIXED_RATE, rate=rate) for _ in range(2))
    for day in range(1, 101):
        stepped.advance(NOW + day * 86_400)
    at_once.advance(NOW + 100 * 86_400)
    assert stepped.health_raw(0) == at_once.health_raw(0) < 0
    assert stepped.state() == at_once.state()


@settings(max_examples=60, deadline=None)
@given(books, st.integers(0, 10**7))
def test_exposures_are_the_exact_positions_within_a_billionth(market: MorphoBlueMarket, seconds: int) -> None:
    for offer in list(offers_of(market))[::2]:
        market.settle(offer, max(offer.most_raw // 3, 1))
    market.advance(NOW + seconds)
    seen = market.exposures()
    _, positions = market.state()
    assert list(seen.offsets) == list(range(0, 2 * len(positions) + 1, 2))
    for account, position in enumerate(positions):
        debt = borrow_limit(position.collateral, PRICE, LLTV) - market.health_raw(account)
        assert seen.supplied[2 * account : 2 * account + 2] * ETH == pytest.approx([position.collateral, 0], rel=1e-9)
        assert seen.debt[2 * account : 2 * account + 2] * USDC == pytest.approx([0, debt], rel=1e-9, abs=1)
    assert np.unique(seen.threshold[::2]) == seen.ltv[0] == LLTV / WAD
    assert np.unique(seen.bonus[::2]) == pytest.approx(1.043841336)
    assert not seen.threshold[1::2].any()
