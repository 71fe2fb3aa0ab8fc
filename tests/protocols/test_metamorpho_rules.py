"""MetaMorpho vaults over Morpho markets: what a loss does to shares, and how queues and caps send money."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.lending.morpho_blue.irm import FIXED_RATE
from protocols.lending.morpho_blue.rules import OWN, incentive_factor, liquidate
from protocols.lending.morpho_blue.shares import WAD
from protocols.lending.morpho_blue.state import Position
from protocols.tokens.metamorpho.rules import (
    ALL_CAPS_REACHED,
    ALREADY_SET,
    INSUFFICIENT_BALANCE,
    MAX_FEE_EXCEEDED,
    NOT_ENOUGH_LIQUIDITY,
    OK,
    V10,
    V11,
    Done,
    convert_to_assets,
    deposit,
    max_withdraw,
    put,
    real_assets,
    set_fee,
    supplied,
    totals_of,
    withdraw,
    worth,
)
from protocols.tokens.metamorpho.state import Markets, Vault

NOW = 1_700_000_000
YEAR = 365 * 86_400
PAR = 10**36
UNIT = 10**18
versions = pytest.mark.parametrize("version", [V10, V11])


class World(NamedTuple):
    """A vault of 18 decimals without virtual offset over three markets, in each of which half is lent out."""

    vault: Vault
    markets: Markets
    queue: list[int]

    @property
    def cash(self) -> int:
        """What Morpho holds: what the markets have not lent out."""
        return sum(self.markets.supply_assets) - sum(self.markets.borrow_assets)

    def real(self, now: int = NOW) -> int:
        return int(real_assets(self.markets, self.queue, now))

    def share_price(self, version: int, now: int = NOW) -> float:
        return float(convert_to_assets(version, self.vault, self.real(now), UNIT) / UNIT)

    def lose(self, market: int, assets: int) -> World:
        """The world after a borrower without enough collateral was liquidated in a market."""
        totals = totals_of(self.markets, market)
        shares = assets * totals.borrow_shares // totals.borrow_assets
        done = liquidate(totals, Position(shares, 1), PAR, WAD // 2, incentive_factor(WAD // 2, OWN), 1, 0)
        put(self.markets, market, done.totals)
        return self


def world(*held: int, rate: int = 0, fee: int = 0, lost: int = 0, caps: tuple[int, ...] = (10**30,) * 3) -> World:
    """A vault that has so many whole tokens in each market, as much as others have there."""
    assets = [2 * h * UNIT for h in held]
    markets = Markets(
        supply_assets=list(assets),
        supply_shares=[a * 10**6 for a in assets],
        borrow_assets=[a // 2 for a in assets],
        borrow_shares=[a // 2 * 10**6 for a in assets],
        last_update=[NOW] * 3,
        fee_wad=[0] * 3,
        irm=[FIXED_RATE] * 3,
        rate_wad=[rate] * 3,
        vault_shares=[h * UNIT * 10**6 for h in held],
        cap=list(caps),
    )
    total = sum(held) * UNIT
    return World(Vault(total, total + lost, lost, fee, 1), markets, [0, 1, 2])


def deposited(version: int, state: World, assets: int = 0, shares: int = 0, now: int = NOW) -> Done:
    queues = (state.queue, state.queue)
    return deposit(version, state.vault, state.markets, *queues, assets, shares, now)


def withdrawn(version: int, state: World, owned: int, assets: int = 0, shares: int = 0, now: int = NOW) -> Done:
    return withdraw(version, state.vault, state.markets, state.queue, state.cash, owned, assets, shares, now)


def held(state: World) -> list[float]:
    """What the vault could claim from each market, whole tokens."""
    return [supplied(totals_of(state.markets, m), shares) / UNIT for m, shares in enumerate(state.markets.vault_shares)]


# --- losses -----------------------------------------------------------------------------------------------------


def test_in_1_0_a_loss_is_in_the_share_price_at_once() -> None:
    state = world(100, 100, 100).lose(0, 30 * UNIT)
    # half of what is lost in the market is the vault's
    assert state.share_price(V10) == pytest.approx(285 / 300)
    found = worth(V10, state.vault, state.real())
    assert (found.total_assets, found.lost_assets) == (state.real(), 0)


def test_in_1_1_a_loss_is_set_apart_and_the_share_price_stays() -> None:
    state = world(100, 100, 100).lose(0, 30 * UNIT)
    assert state.share_price(V11) == pytest.approx(1)
    found = worth(V11, state.vault, state.real())
    assert found.lost_assets / UNIT == pytest.approx(15)
    assert found.total_assets == state.real() + found.lost_assets == state.vault.last_total_assets


def test_in_1_1_who_withdraws_first_is_paid_in_full_and_the_last_is_not() -> None:
    state = world(100, 100, 100).lose(0, 60 * UNIT)
    first = withdrawn(V11, state, 150 * UNIT, shares=150 * UNIT)
    assert (first.error, first.assets / UNIT) == (OK, pytest.approx(150))
    # everything is repaid, so that only the loss is missing
    state = state._replace(vault=first.vault)
    state.markets.borrow_assets[:] = state.markets.borrow_shares[:] = [0, 0, 0]
    state.markets.supply_shares[:] = state.markets.vault_shares
    state.markets.supply_assets[:] = [round(h * UNIT) for h in held(state)]
    assert withdrawn(V11, state, 150 * UNIT, shares=150 * UNIT).error == NOT_ENOUGH_LIQUIDITY


def test_in_1_0_both_halves_get_the_same_after_a_loss() -> None:
    state = world(100, 100, 100).lose(0, 60 * UNIT)
    first = withdrawn(V10, state, 150 * UNIT, shares=150 * UNIT)
    state = state._replace(vault=first.vault)
    assert first.assets == pytest.approx(convert_to_assets(V10, state.vault, state.real(), 150 * UNIT), rel=1e-9)


def test_a_gain_after_a_loss_does_not_fill_the_gap_in_1_1() -> None:
    state = world(100, 100, 100, lost=15 * UNIT, rate=WAD // 10 // YEAR)
    found = worth(V11, state.vault, state.real(NOW + YEAR))
    assert found.lost_assets == 15 * UNIT
    assert state.share_price(V11, NOW + YEAR) > state.share_price(V11)


# --- interest and fees ------------------------------------------------------------------------------------------


@versions
def test_the_fee_recipient_gets_its_share_of_the_interest_in_shares(version: int) -> None:
    state = world(100, 100, 100, rate=WAD // 10 // YEAR, fee=WAD // 5)
    now = NOW + YEAR
    interest = state.real(now) - 300 * UNIT
    found = worth(version, state.vault, state.real(now))
    price = convert_to_assets(version, state.vault, state.real(now), UNIT) / UNIT
    assert found.fee_shares * price == pytest.approx(interest / 5, rel=1e-9)
    assert price == pytest.approx(1 + interest * 4 / 5 / (300 * UNIT), rel=1e-9)


@versions
def test_a_new_fee_takes_nothing_of_what_was_earned_before(version: int) -> None:
    state = world(100, 100, 100, rate=WAD // 10 // YEAR)
    done = set_fee(version, state.vault, state.markets, state.queue, WAD // 2, NOW + YEAR)
    assert (done.error, done.fee_shares, done.vault.fee_wad) == (OK, 0, WAD // 2)
    assert done.vault.last_total_assets == state.real(NOW + YEAR)
    assert set_fee(version, state.vault, state.markets, state.queue, 0, NOW).error == ALREADY_SET
    assert set_fee(version, state.vault, state.markets, state.queue, WAD // 2 + 1, NOW).error == MAX_FEE_EXCEEDED


# --- queues and caps --------------------------------------------------------------------------------------------


@versions
def test_deposits_fill_the_markets_up_to_their_caps_in_the_order_of_the_queue(version: int) -> None:
    state = world(100, 100, 100, caps=(110 * UNIT, 0, 1_000 * UNIT))
    done = deposited(version, state, assets=50 * UNIT)
    assert (done.error, done.shares) == (OK, 50 * UNIT)
    assert held(state) == pytest.approx([110, 100, 140])
    assert deposited(version, world(100, 100, 100, caps=(110 * UNIT,) * 3), 31 * UNIT).error == ALL_CAPS_REACHED


@versions
def test_withdrawals_empty_the_markets_in_the_order_of_the_queue_as_far_as_they_have_cash(version: int) -> None:
    state = world(100, 60, 100)
    state.markets.borrow_assets[0] += 30 * UNIT
    state.markets.borrow_shares[0] += 30 * UNIT * 10**6
    done = withdrawn(version, state, 260 * UNIT, assets=100 * UNIT)
    assert done.error == OK
    assert held(state) == pytest.approx([30, 30, 100])


@versions
def test_more_than_is_owned_or_than_is_there_is_refused(version: int) -> None:
    state = world(100, 100, 100)
    assert withdrawn(version, state, 10 * UNIT, shares=10 * UNIT + 1).error == INSUFFICIENT_BALANCE
    tight = world(100, 100, 100)
    tight.markets.borrow_assets[:] = [int(a * 0.9) for a in tight.markets.supply_assets]
    assert withdrawn(version, tight, 300 * UNIT, assets=61 * UNIT).error == NOT_ENOUGH_LIQUIDITY


@versions
def test_what_can_be_withdrawn_is_withdrawn_and_a_unit_more_is_not(version: int) -> None:
    for lent in (0.5, 0.8, 0.95):
        state = world(100, 70, 40)
        state.markets.borrow_assets[:] = [int(a * lent) for a in state.markets.supply_assets]
        most = max_withdraw(version, state.vault, state.markets, state.queue, state.cash, 180 * UNIT, NOW)
        assert most / UNIT == pytest.approx(min(180, sum((200, 140, 80)) * (1 - lent)))
        untouched = state._replace(markets=Markets(*map(list, state.markets)))
        assert withdrawn(version, state, 180 * UNIT, assets=most).error == OK
        assert withdrawn(version, untouched, 180 * UNIT, assets=most + 2).error != OK


# --- laws -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([V10, V11]),
    st.lists(st.tuples(st.booleans(), st.integers(1, 80 * UNIT)), max_size=6),
    st.integers(0, 100 * UNIT),
    st.integers(0, YEAR),
)
def test_no_token_is_created_or_lost_and_nobody_gains_by_going_in_and_out(
    version: int, moves: list[tuple[bool, int]], lost: int, seconds: int
) -> None:
    state = world(100, 100, 100, rate=WAD // 20 // YEAR, fee=WAD // 10).lose(1, max(lost, UNIT))
    own = 0
    for inward, amount in moves:
        before = state.share_price(version, NOW + seconds)
        supplied_before, copy = sum(state.markets.supply_assets), Markets(*map(list, state.markets))
        interest = real_assets(copy, [0, 1, 2], NOW + seconds)
        if inward:
            done = deposited(version, state, assets=amount, now=NOW + seconds)
            own += done.shares
        else:
            done = withdrawn(version, state, own, shares=min(amount, own), now=NOW + seconds)
            if done.error:
                state = state._replace(markets=copy)
                continue
            own -= done.shares
        assert done.error == OK
        moved = done.assets if inward else -done.assets
        # what the vault could claim changes by what was moved, within a unit a market
        assert state.real(NOW + seconds) == pytest.approx(interest + moved, abs=6)
        assert sum(state.markets.supply_assets) >= supplied_before + min(moved, 0)
        state = state._replace(vault=done.vault)
        assert state.share_price(version, NOW + seconds) >= before * (1 - 1e-12)
