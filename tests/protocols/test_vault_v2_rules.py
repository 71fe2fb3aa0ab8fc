"""Morpho Vaults v2: gains that are let in slowly, losses that are not, and caps."""

from __future__ import annotations

import pytest

from protocols.lending.morpho_blue.shares import WAD
from protocols.tokens.vault_v2.rules import (
    ABSOLUTE_CAP_EXCEEDED,
    ARITHMETIC_PANIC,
    OK,
    RELATIVE_CAP_EXCEEDED,
    TRANSFER_REVERTED,
    ZERO_ABSOLUTE_CAP,
    ZERO_ALLOCATION,
    allocate,
    convert_to_assets,
    deallocate,
    deposit,
    withdraw,
    worth,
)
from protocols.tokens.vault_v2.state import Caps, Vault

NOW = 1_760_000_000
YEAR = 365 * 86_400
UNIT = 10**18


def vault_of(total: int, idle: int, rate: float = 1.0, performance: float = 0.0, management: float = 0.0) -> Vault:
    """A vault of so many whole tokens and as many shares; rates a year."""
    return Vault(
        total_supply=total * UNIT,
        total_assets=total * UNIT,
        last_update=NOW,
        max_rate_wad=int(rate * WAD) // YEAR,
        performance_fee_wad=int(performance * WAD),
        management_fee_wad=int(management * WAD) // YEAR,
        virtual_shares=1,
        idle=idle * UNIT,
    )


def caps_of(allocation: int, absolute: int = 10**9, relative: float = 1.0) -> Caps:
    """The caps of an adapter with one id, whole tokens."""
    return Caps([absolute * UNIT], [int(relative * WAD)], [allocation * UNIT])


def share_price(vault: Vault, claimed: int, now: int) -> float:
    return float(convert_to_assets(vault, claimed * UNIT, UNIT, now) / UNIT)


def test_a_loss_is_in_the_share_price_at_once() -> None:
    assert share_price(vault_of(100, 10), 90, NOW) == 1
    assert share_price(vault_of(100, 10), 60, NOW) == pytest.approx(0.7)


def test_a_gain_is_let_in_only_at_the_maximum_rate() -> None:
    vault = vault_of(100, 10, rate=0.2)
    assert share_price(vault, 190, NOW) == 1
    assert share_price(vault, 190, NOW + YEAR // 2) == pytest.approx(1.1, rel=1e-6)
    assert share_price(vault, 91, NOW + YEAR) == pytest.approx(1.01)


def test_the_performance_fee_is_a_share_of_the_gain_and_the_management_fee_of_everything() -> None:
    performance, management = vault_of(100, 0, performance=0.25), vault_of(100, 0, management=0.02)
    for vault, fee in ((performance, 2.5), (management, 2.2)):
        found = worth(vault, 110 * UNIT, NOW + YEAR)
        price = share_price(vault, 110, NOW + YEAR)
        due = found.performance_shares + found.management_shares
        assert due * price / UNIT == pytest.approx(fee, rel=1e-6)
        assert price == pytest.approx((110 - fee) / 100, rel=1e-6)


def test_a_deposit_goes_into_the_liquidity_adapter_as_far_as_its_caps_allow() -> None:
    def enter(absolute: int = 10**9, relative: float = 1.0, liquid: bool = True) -> int:
        caps = caps_of(90, absolute, relative)
        done = deposit(vault_of(100, 10), caps, liquid, 90 * UNIT, 20 * UNIT, 0, NOW)
        if done.error == OK:
            assert caps.allocation == [(110 if liquid else 90) * UNIT]
            assert (done.vault.idle, done.vault.total_assets) == ((10 if liquid else 30) * UNIT, 120 * UNIT)
        return done.error

    assert enter() == enter(absolute=110) == enter(liquid=False, absolute=0) == OK
    assert enter(absolute=0) == ZERO_ABSOLUTE_CAP
    assert enter(absolute=109) == ABSOLUTE_CAP_EXCEEDED
    # of what there was before the deposit
    assert enter(relative=0.9999) == RELATIVE_CAP_EXCEEDED


def test_a_withdrawal_takes_what_is_idle_first_and_then_calls_back() -> None:
    caps = caps_of(90)
    done = withdraw(vault_of(100, 10), caps, True, 90 * UNIT, 50 * UNIT, 30 * UNIT, 0, NOW)
    assert (done.error, done.claimed, done.vault.idle) == (OK, 70 * UNIT, 0)
    assert caps.allocation == [70 * UNIT]


def test_a_withdrawal_fails_without_shares_and_without_money() -> None:
    def leave(liquid: bool, owned: int, assets: int, claimed: int = 90, allocation: int = 90) -> int:
        caps = caps_of(allocation)
        done = withdraw(vault_of(100, 10), caps, liquid, claimed * UNIT, owned * UNIT, assets * UNIT, 0, NOW)
        return done.error

    assert leave(False, 100, 10) == leave(True, 100, 100) == OK
    assert leave(True, 49, 50) == ARITHMETIC_PANIC
    assert leave(False, 100, 11) == TRANSFER_REVERTED
    assert leave(True, 100, 60, claimed=45) == ARITHMETIC_PANIC
    assert leave(True, 100, 11, allocation=0) == ZERO_ALLOCATION


def test_what_the_adapter_lost_meanwhile_leaves_its_allocation_only_when_money_moves() -> None:
    caps = caps_of(90)
    assert worth(vault_of(100, 10), 50 * UNIT, NOW).total_assets == 60 * UNIT
    assert caps.allocation == [90 * UNIT]
    assert deallocate(vault_of(100, 10), caps, 50 * UNIT, 0).error == OK
    assert caps.allocation == [50 * UNIT]
    done = allocate(vault_of(100, 10), caps, 50 * UNIT, 4 * UNIT, NOW)
    assert (done.error, done.vault.idle, caps.allocation) == (OK, 6 * UNIT, [54 * UNIT])
    assert allocate(vault_of(100, 10), caps, 54 * UNIT, 11 * UNIT, NOW).error == TRANSFER_REVERTED
