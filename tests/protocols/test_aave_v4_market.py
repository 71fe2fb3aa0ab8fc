"""The Aave v4 market that the engine steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InputError, UnsupportedError
from protocols.arithmetic import max_uint256
from protocols.lending.aave_v4.market import SUPPLIERS, AaveV4Market, Hubs
from protocols.lending.aave_v4.versions import V0511, VERSIONS
from protocols.lending.interface import LendingMarket, Offer
from tests.protocols.aave_v4_spokes import ETH, NOW, USD, USDC, random_spoke, simple_spoke
from tests.vectors.aave_v4_spoke import Spoke, show_position

DATA = Path(__file__).parent.parent / "vectors" / "data"

seeds = st.integers(0, 2**40)


def market_of(spoke: Spoke, hubs: Hubs | None = None, version: str = V0511) -> AaveV4Market:
    accounts = [f"account {number}" for number in range(len(spoke.positions.risk_premium_bps))]
    tokens = [f"token {number}" for number in range(len(spoke.reserves.asset))]
    behind = hubs or Hubs(spoke.assets, NOW)
    return AaveV4Market(
        "spoke", version, accounts, tokens, behind, spoke.reserves, spoke.configs, spoke.terms, spoke.positions
    )


def test_it_is_a_lending_market_that_counts_in_dollars() -> None:
    market: LendingMarket = market_of(simple_spoke(10**18, 10**9))
    assert (market.protocol, market.version, market.numeraire) == ("aave_v4", "0.5.11", None)
    assert [market.price_unit(reserve) for reserve in range(3)] == [USD] * 3
    assert market.standing_offers() == []


@pytest.mark.parametrize("version", ["0.5.10", "0.5", "1.0.0", "3.6", ""])
def test_another_version_than_the_verified_one_is_refused_by_name(version: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'{version}'.*0.5.11"):
        market_of(simple_spoke(10**18, 10**9), version=version)


def test_the_version_is_verified_by_recorded_answers_that_are_there() -> None:
    assert all((DATA / f"{version.verified_by}.json.gz").exists() for version in VERSIONS.values())
    assert market_of(simple_spoke(10**18, 10**9), version="v0.5.11").caveat == ""


def test_time_does_not_go_back() -> None:
    with pytest.raises(InputError, match="cannot go back"):
        market_of(simple_spoke(10**18, 10**9)).advance(NOW - 1)


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    spoke = simple_spoke(10**18, 10**9)
    state = spoke.reserves, spoke.configs, spoke.terms, spoke.positions
    hubs = Hubs(spoke.assets, NOW)
    with pytest.raises(InputError, match="0 accounts"):
        AaveV4Market("spoke", V0511, [], ["a", "b", "c"], hubs, *state)
    with pytest.raises(InputError, match="2 rows"):
        AaveV4Market("spoke", V0511, ["x"], ["a", "b"], hubs, *state)
    spoke.reserves.asset[2] = 3
    with pytest.raises(InputError, match="asset that its hubs do not have"):
        market_of(spoke)
    with pytest.raises(InputError, match="same number of rows"):
        Hubs(spoke.assets._replace(swept_raw=[0]), NOW)
    decimals = simple_spoke(10**18, 10**9)
    decimals.reserves.unit[1] = 10**24
    with pytest.raises(InputError, match="18 decimals"):
        market_of(decimals)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_most_that_is_offered_is_accepted_and_more_gives_no_more(seed: int) -> None:
    market = market_of(random_spoke(seed))
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            most = market.terms(offer, offer.most_raw)
            assert not most.refusal
            assert 0 < most.repaid_raw <= offer.most_raw < max_uint256()
            for more in (offer.most_raw + 1, offer.most_raw * 2, max_uint256()):
                assert market.terms(offer, more).received_raw <= most.received_raw


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_settling_keeps_to_the_terms_and_says_who_bears_the_deficit(seed: int) -> None:
    market = market_of(random_spoke(seed))
    for account in range(len(market.accounts)):
        for offer in market.offers(account):
            terms = market.terms(offer, offer.most_raw)
            before = market.deficits_raw()
            settlement = market.settle(offer, offer.most_raw)
            assert settlement.terms == terms
            grown = {r: now - was for r, (was, now) in enumerate(zip(before, market.deficits_raw(), strict=True))}
            assert dict(settlement.deficits_raw) == {r: amount for r, amount in grown.items() if amount}
            assert settlement.borne_by == (SUPPLIERS if settlement.deficits_raw else "")


def test_terms_and_refused_settlements_change_nothing() -> None:
    market = market_of(simple_spoke(2 * 10**18, 3_600 * 10**6))
    before = market.state()
    (offer,) = market.offers(0)
    market.terms(offer, offer.most_raw)
    assert market.settle(offer, 3_000 * 10**6).terms.refusal == "MustNotLeaveDust()"
    assert market.state() == before


def test_a_settlement_refused_by_the_hub_after_the_payment_changes_nothing() -> None:
    spoke = simple_spoke(10**18, 5_000 * 10**6, others={"dai_debt": 700 * 10**18})
    spoke.reserves.active[2] = False
    market = market_of(spoke)
    before = market.state()
    assert market.offers(0) == []
    assert market.settle(Offer(0, ETH, USDC, 0), max_uint256()).terms.refusal == "SpokeNotActive()"
    assert market.state() == before


def test_cash_bounds_what_is_offered() -> None:
    spoke = simple_spoke(20 * 10**18, 60_000 * 10**6)
    spoke.assets.swept_raw[ETH] = spoke.assets.liquidity_raw[ETH] - 3 * 10**18
    spoke.assets.liquidity_raw[ETH] = 3 * 10**18
    market = market_of(spoke)
    (offer,) = market.offers(0)
    received = market.terms(offer, offer.most_raw).received_raw
    assert received == pytest.approx(3 * 10**18, rel=1e-9)
    assert received <= 3 * 10**18
    assert market.terms(offer, offer.most_raw * 2).refusal == "InsufficientLiquidity(uint256)"


def test_what_is_dust_all_of_it_and_more_than_the_cash_is_not_offered() -> None:
    spoke = simple_spoke(10**17, 180 * 10**6)
    spoke.assets.swept_raw[ETH] = spoke.assets.liquidity_raw[ETH] - 1
    spoke.assets.liquidity_raw[ETH] = 1
    market = market_of(spoke)
    assert market.is_liquidatable(0)
    assert market.offers(0) == []


def test_spokes_of_one_hub_share_its_cash_and_its_time() -> None:
    one, other = simple_spoke(20 * 10**18, 60_000 * 10**6), simple_spoke(20 * 10**18, 60_000 * 10**6)
    hubs = Hubs(one.assets, NOW)
    markets = [market_of(spoke, hubs) for spoke in (one, other)]
    (before,) = markets[1].offers(0)
    (offer,) = markets[0].offers(0)
    cash = hubs.assets.liquidity_raw[ETH]
    received = markets[0].settle(offer, offer.most_raw).terms.received_raw
    assert hubs.assets.liquidity_raw[ETH] == cash - received
    hubs.assets.swept_raw[ETH] += hubs.assets.liquidity_raw[ETH] - 10**18
    hubs.assets.liquidity_raw[ETH] = 10**18
    (after,) = markets[1].offers(0)
    assert after.most_raw < before.most_raw / 10
    markets[0].advance(NOW + 100)
    with pytest.raises(InputError, match="cannot go back"):
        markets[1].advance(NOW + 99)


def test_the_state_that_a_market_is_made_of_is_not_changed_by_it() -> None:
    spoke = simple_spoke(10**18, 5_000 * 10**6)
    before = spoke.copy()
    market = market_of(spoke)
    (offer,) = market.offers(0)
    assert market.settle(offer, offer.most_raw).deficits_raw
    assert (spoke.assets, spoke.reserves, spoke.positions) == (before.assets, before.reserves, before.positions)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_exposures_are_the_exact_positions_within_a_billionth(seed: int) -> None:
    spoke = random_spoke(seed)
    market = market_of(spoke)
    for account in range(len(market.accounts)):
        for offer in market.offers(account)[:1]:
            market.settle(offer, offer.most_raw)
    market.advance(NOW + 10_000)
    state = Spoke(*market.state()[:2], spoke.configs, spoke.terms, market.state()[2])
    seen = market.exposures()
    positions, configs = state.positions, spoke.configs
    for entry, r in enumerate(positions.reserve):
        shown, unit = show_position(state, entry, NOW + 10_000), spoke.reserves.unit[r]
        assert seen.supplied[entry] * unit == pytest.approx(shown["suppliedAssets"], rel=1e-9, abs=1)
        assert seen.debt[entry] * unit == pytest.approx(shown["drawnDebt"] + shown["premiumDebt"], rel=1e-9, abs=2)
        counts = positions.collateral[entry] and positions.supplied_shares[entry] > 0
        config, latest = positions.config[entry], spoke.reserves.latest_config[r]
        assert seen.threshold[entry] == counts * configs.collateral_factor_bps[config] / 10_000
        assert seen.ltv[entry] == counts * configs.collateral_factor_bps[latest] / 10_000
        assert seen.bonus[entry] == configs.max_bonus_bps[config] / 10_000
    values = np.array(spoke.reserves.price_raw, dtype=float)[seen.reserve] / 1e8
    for account in range(len(market.accounts)):
        span = slice(seen.offsets[account], seen.offsets[account + 1])
        amounts = [a for column in (positions.supplied_shares, positions.drawn_shares) for a in column[span] if a]
        if min(amounts, default=0) > 10**9 and any(positions.drawn_shares[span]):
            health = (seen.supplied * values * seen.threshold)[span].sum() / (seen.debt * values)[span].sum()
            assert health == pytest.approx(market.health_raw(account) / 1e18, rel=1e-8)
