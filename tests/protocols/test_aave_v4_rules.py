"""What holds of liquidation in Aave v4, beyond what recorded answers show."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.arithmetic import max_uint256
from protocols.lending.aave_v4.account import AccountData, to_value
from protocols.lending.aave_v4.amounts import dust_value, liquidation_bonus
from protocols.lending.aave_v4.hub import VIRTUAL, drawn_index, drawn_rate, total_added
from protocols.lending.aave_v4.rules import Call, Quote, quote
from protocols.lending.aave_v4.state import Liquidation
from protocols.lending.aave_v4.versions import OK, revert_name
from tests.protocols.aave_v4_spokes import DAI, ETH, NOW, RAY, USD, USDC, WAD, random_spoke, simple_spoke
from tests.vectors.aave_v4_spoke import Spoke, fast_form, show_position
from tests.vectors.outcome import RELATIVE_TOLERANCE

EVERYTHING = max_uint256()
BIG = 50 * 10**18, 80_000 * 10**6
"""A whale: 100,000 US dollars of ETH, and as much debt in USDC as makes it unhealthy at a factor of 80 %."""

seeds = st.integers(0, 2**40)


def call_for(collateral: int = ETH, debt: int = USDC, amount: int = EVERYTHING, account: int = 0, **more: bool) -> Call:
    flags = {"receive_shares": False, "self_liquidation": False} | more
    return Call(account, collateral, debt, amount, **flags)


def asked(spoke: Spoke, call: Call, now: int = NOW) -> Quote:
    state = spoke.assets, spoke.reserves, spoke.configs, spoke.terms, spoke.positions
    return quote(*state, spoke.account(call.account, now), call, now)


def refusal(spoke: Spoke, call: Call) -> str:
    """Why a liquidation is refused, executed on a copy."""
    return revert_name(spoke.copy().liquidate(call, NOW).error)


def at_health(spoke: Spoke, target: float) -> Spoke:
    """Set the price of ETH so that the health factor is just below `target`."""
    low, high = 1, 10**14
    while low < high:
        middle = (low + high + 1) // 2
        spoke.reserves.price_raw[ETH] = middle
        low, high = (middle, high) if spoke.account(0, NOW).health_wad < target * WAD else (low, middle - 1)
    spoke.reserves.price_raw[ETH] = low
    return spoke


def liquidations(spoke: Spoke, **more: bool) -> list[Call]:
    """Every pair of every account."""
    size = len(spoke.reserves.asset)
    return [
        call_for(collateral, debt, EVERYTHING, account, **more)
        for account, collateral, debt in product(range(len(spoke.positions.risk_premium_bps)), range(size), range(size))
    ]


def debt_ray(spoke: Spoke, account: int, reserve: int) -> int:
    """What an account owes in a reserve, smallest units times 1e27."""
    entry = spoke.positions.offsets[account] + reserve
    shown = show_position(spoke, entry, NOW)
    index = drawn_index(spoke.assets, spoke.reserves.asset[reserve], NOW)
    return int(spoke.positions.drawn_shares[entry] * index + shown["premiumDebtRay"])


# --- who may be liquidated --------------------------------------------------------------------------------------


def test_a_health_factor_of_exactly_one_is_healthy() -> None:
    spoke = simple_spoke(10**18, 800 * 10**6, eth_price=1_000 * USD)
    spoke.reserves.price_raw[USDC] = USD
    assert spoke.account(0, NOW).health_wad == WAD
    assert refusal(spoke, call_for()) == "HealthFactorNotBelowThreshold()"
    spoke.reserves.price_raw[ETH] -= 1
    assert refusal(spoke, call_for()) == ""


def test_an_account_without_debt_has_the_largest_health_factor_and_no_risk_premium() -> None:
    data = simple_spoke(10**18, 0).account(0, NOW)
    assert (data.health_wad, data.risk_premium_bps) == (2**256 - 1, 0)


def sweep(spoke: Spoke) -> None:
    """Invest all cash of ETH elsewhere, but for one token."""
    swept = spoke.assets.liquidity_raw[ETH] - 10**18
    spoke.assets.liquidity_raw[ETH] -= swept
    spoke.assets.swept_raw[ETH] += swept


Change = Callable[[Spoke], object]


@pytest.mark.parametrize(
    ("change", "call", "name"),
    [
        (lambda s: None, call_for(collateral=-1), "ReserveNotListed()"),
        (lambda s: None, call_for(debt=-1), "ReserveNotListed()"),
        (lambda s: None, call_for(self_liquidation=True), "SelfLiquidation()"),
        (lambda s: None, call_for(amount=0), "InvalidDebtToCover()"),
        (lambda s: s.reserves.paused.__setitem__(ETH, True), call_for(), "ReservePaused()"),
        (lambda s: s.reserves.paused.__setitem__(USDC, True), call_for(), "ReservePaused()"),
        (lambda s: None, call_for(collateral=DAI), "ReserveNotSupplied()"),
        (lambda s: None, call_for(debt=DAI), "ReserveNotBorrowed()"),
        (lambda s: s.positions.collateral.__setitem__(DAI, False), call_for(DAI), "ReserveNotEnabledAsCollateral()"),
        (
            lambda s: s.configs.collateral_factor_bps.__setitem__(DAI, 0),
            call_for(DAI),
            "ReserveNotEnabledAsCollateral()",
        ),
        (lambda s: s.reserves.frozen.__setitem__(ETH, True), call_for(receive_shares=True), "CannotReceiveShares()"),
        (
            lambda s: s.reserves.receive_shares.__setitem__(ETH, False),
            call_for(receive_shares=True),
            "CannotReceiveShares()",
        ),
        (lambda s: s.reserves.frozen.__setitem__(ETH, True), call_for(), ""),
        (lambda s: s.reserves.active.__setitem__(ETH, False), call_for(), "SpokeNotActive()"),
        (lambda s: s.reserves.active.__setitem__(ETH, False), call_for(receive_shares=True), "SpokeNotActive()"),
        (lambda s: s.reserves.active.__setitem__(USDC, False), call_for(), "SpokeNotActive()"),
        (lambda s: s.reserves.halted.__setitem__(ETH, True), call_for(), "SpokeHalted()"),
        (lambda s: s.reserves.halted.__setitem__(ETH, True), call_for(receive_shares=True), ""),
        (lambda s: s.reserves.halted.__setitem__(USDC, True), call_for(), "SpokeHalted()"),
        (sweep, call_for(), "InsufficientLiquidity(uint256)"),
        (sweep, call_for(receive_shares=True), ""),
    ],
)
def test_what_blocks_a_liquidation_and_by_what_name(change: Change, call: Call, name: str) -> None:
    dai = {"dai_supplied": 10**20} if call.collateral == DAI and "Enabled" in name else {}
    spoke = simple_spoke(*BIG, others=dai)
    spoke.reserves.price_raw[ETH] = 150_012_345_678
    change(spoke)
    assert refusal(spoke, call) == name


def test_another_debt_that_the_hub_will_not_touch_blocks_too() -> None:
    spoke = simple_spoke(10**18, 5_000 * 10**6, others={"dai_debt": 700 * 10**18})
    spoke.reserves.active[DAI] = False
    assert asked(spoke, call_for()).deficit
    assert refusal(spoke, call_for()) == "SpokeNotActive()"
    safe = simple_spoke(*BIG, others={"dai_debt": 7_000 * 10**18})
    safe.reserves.active[DAI] = False
    assert refusal(safe, call_for()) == "", "without a premium there is nothing to tell the hub of"
    safe.reserves.collateral_risk_bps[ETH] = 100
    assert refusal(safe, call_for()) == "SpokeNotActive()"


def test_more_premium_than_the_hub_allows_the_spoke_is_refused() -> None:
    spoke = at_health(simple_spoke(*BIG), 0.9)
    spoke.reserves.collateral_risk_bps[ETH] = 1_000
    spoke.reserves.premium_threshold_bps[USDC] = 1_000
    assert refusal(spoke, call_for()) == ""
    spoke.reserves.premium_threshold_bps[USDC] = 999
    assert refusal(spoke, call_for()) == "InvalidPremiumChange()"


# --- amounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [100, 105, 124])
@pytest.mark.parametrize("health", [0.999, 0.96, 0.9])
def test_a_liquidation_that_nothing_caps_restores_the_target_health_factor(target: int, health: float) -> None:
    spoke = at_health(simple_spoke(50 * 10**18, 60_000 * 10**6, others={"dai_supplied": 3_000 * 10**18}), health)
    spoke.terms = spoke.terms._replace(target_health_wad=target * WAD // 100)
    assert spoke.liquidate(call_for(), NOW).error == OK
    assert spoke.account(0, NOW).health_wad == pytest.approx(target * WAD / 100, rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_a_liquidation_ends_at_the_target_or_takes_all_of_one_side(seed: int) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke):
        before, state = spoke.account(call.account, NOW), spoke.copy()
        done = state.liquidate(call, NOW)
        entry = spoke.positions.offsets[call.account]
        if done.error != OK:
            continue
        everything = (
            state.positions.supplied_shares[entry + call.collateral] == 0
            or state.positions.drawn_shares[entry + call.debt] == 0
        )
        large = before.debt_value_ray > 10**4 * 10**26 * RAY and min(spoke.reserves.unit) > 10**7
        if not everything and large:
            after = state.account(call.account, NOW).health_wad
            assert after == pytest.approx(spoke.terms.target_health_wad, rel=1e-3)


@settings(max_examples=100, deadline=None)
@given(seeds, st.floats(0, 1))
def test_neither_debt_nor_collateral_is_left_as_dust_unless_the_other_is_gone(seed: int, share: float) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke):
        most = asked(spoke, call).repaid
        state = spoke.copy()
        done = state.liquidate(call._replace(debt_to_cover=max(1, int(most * share))), NOW)
        if done.error != OK or done.deficit:
            continue
        c, d = (state.positions.offsets[call.account] + r for r in (call.collateral, call.debt))
        collateral_left, debt_left = state.positions.supplied_shares[c], state.positions.drawn_shares[d]
        reserves = state.reserves
        if debt_left and collateral_left:
            debt_value = to_value(
                debt_ray(state, call.account, call.debt), reserves.price_raw[call.debt], reserves.unit[call.debt]
            )
            assert debt_value >= dust_value() * RAY
            left = show_position(spoke, c, NOW)["suppliedAssets"] - done.removed
            value = to_value(left, reserves.price_raw[call.collateral], reserves.unit[call.collateral])
            unit_value = to_value(2, reserves.price_raw[call.collateral], reserves.unit[call.collateral])
            assert value >= dust_value() - unit_value


def test_a_liquidator_who_would_leave_dust_is_refused_and_one_who_pays_for_it_all_is_not() -> None:
    spoke = at_health(simple_spoke(2 * 10**18, 3_000 * 10**6), 0.9)
    spoke.terms = spoke.terms._replace(target_health_wad=124 * WAD // 100)
    assert refusal(spoke, call_for(amount=2_500 * 10**6)) == "MustNotLeaveDust()"
    done = asked(spoke, call_for())
    assert spoke.positions.drawn_shares[USDC] == done.amounts.drawn_shares


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_paying_exactly_what_is_asked_at_most_gives_the_same_and_more_gives_no_more(seed: int, receive: bool) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke, receive_shares=receive):
        most = asked(spoke, call)
        if most.error == OK:
            assert asked(spoke, call._replace(debt_to_cover=most.repaid)) == most
            more = asked(spoke, call._replace(debt_to_cover=most.repaid + 1))
            assert (more.received, more.removed, more.deficit) == (most.received, most.removed, most.deficit)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 10**12))
def test_nobody_pays_more_than_he_is_willing_to(seed: int, cover: int) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke):
        assert asked(spoke, call._replace(debt_to_cover=cover)).repaid <= cover


@settings(max_examples=100, deadline=None)
@given(
    st.integers(10_000, 11_500),
    st.integers(0, WAD - 1),
    st.integers(0, 10_000),
    st.tuples(st.integers(0, WAD - 1), st.integers(0, WAD - 1)).map(sorted),
)
def test_the_bonus_grows_as_health_falls_and_stays_between_its_bounds(
    highest: int, knee: int, factor: int, health: list[int]
) -> None:
    terms = Liquidation(WAD, knee, factor)
    worse, better = (liquidation_bonus(terms, h, highest) for h in health)
    least = (highest - 10_000) * factor // 10_000 + 10_000
    assert least <= better <= worse <= highest
    assert liquidation_bonus(terms, knee, highest) == highest


# --- what becomes of spoke and hub ------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(seeds, st.booleans(), st.floats(0, 1))
def test_account_spoke_and_hub_record_the_same(seed: int, receive: bool, share: float) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke, receive_shares=receive):
        most = asked(spoke, call).repaid
        asking = call if share > 0.5 else call._replace(debt_to_cover=max(1, int(2 * most * share)))
        state = spoke.copy()
        done = state.liquidate(asking, NOW)
        if done.error != OK:
            continue
        amounts = done.amounts
        fee = amounts.collateral_shares - amounts.liquidator_shares
        for r in range(len(spoke.reserves.asset)):
            paid_in = done.repaid if r == call.debt else 0
            paid_out = done.received if r == call.collateral else 0
            liquidity = state.assets.liquidity_raw[r] - spoke.assets.liquidity_raw[r]
            assert liquidity == paid_in - paid_out

            # what the account loses is burnt for what is paid out, goes to the fee receiver, or to the liquidator
            taken = _total(spoke, "supplied_shares", r) - _total(state, "supplied_shares", r)
            assert taken == (amounts.collateral_shares if r == call.collateral else 0)
            to_receiver = state.assets.fee_receiver_shares[r] - spoke.assets.fee_receiver_shares[r]
            assert to_receiver == (fee if r == call.collateral else 0)
            burnt = spoke.assets.added_shares[r] - state.assets.added_shares[r]
            assert burnt == spoke.reserves.added_shares[r] - state.reserves.added_shares[r] - to_receiver
            assert 0 <= burnt <= (0 if receive or r != call.collateral else amounts.liquidator_shares)

            # every record of debt changes by the same, at account, spoke and hub
            for column in ("drawn_shares", "premium_shares", "premium_offset_ray"):
                change = _total(state, column, r) - _total(spoke, column, r)
                assert getattr(state.reserves, column)[r] - getattr(spoke.reserves, column)[r] == change
                assert getattr(state.assets, column)[r] - getattr(spoke.assets, column)[r] == change

            # debt that goes is paid, up to a unit of rounding each of drawn and premium, or is a deficit
            gone = debt_ray(spoke, call.account, r) - debt_ray(state, call.account, r)
            written_off = state.reserves.deficit_ray[r] - spoke.reserves.deficit_ray[r]
            assert written_off == state.assets.deficit_ray[r] - spoke.assets.deficit_ray[r]
            assert 0 <= paid_in * RAY - (gone - written_off) < 2 * RAY

            # and a supply share is worth as much as before, or rounding more
            before = total_added(spoke.assets, r, NOW) + VIRTUAL, spoke.assets.added_shares[r] + VIRTUAL
            after = total_added(state.assets, r, NOW) + VIRTUAL, state.assets.added_shares[r] + VIRTUAL
            assert after[0] * before[1] >= before[0] * after[1]
        assert min(state.positions.supplied_shares) >= 0 <= min(state.positions.drawn_shares)


def _total(spoke: Spoke, column: str, r: int) -> int:
    amounts = zip(spoke.positions.reserve, getattr(spoke.positions, column), strict=True)
    return sum(amount for reserve, amount in amounts if reserve == r)


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_a_deficit_appears_exactly_when_no_collateral_is_left_and_debt_is(seed: int) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke):
        state = spoke.copy()
        done = state.liquidate(call, NOW)
        if done.error != OK:
            continue
        after = state.account(call.account, NOW)
        owed = (
            spoke.account(call.account, NOW).borrows > 1
            or done.amounts.drawn_shares
            < (spoke.positions.drawn_shares[spoke.positions.offsets[call.account] + call.debt])
        )
        assert done.deficit == (after.collateral_value == 0 and owed)
        assert any(state.reserves.deficit_ray) == done.deficit
        if done.deficit:
            assert (after.debt_value_ray, after.health_wad, after.borrows) == (0, 2**256 - 1, 0)
            assert state.positions.risk_premium_bps[call.account] == 0


def test_bad_debt_in_other_reserves_is_written_off_too() -> None:
    spoke = simple_spoke(10**18, 5_000 * 10**6, others={"dai_debt": 700 * 10**18})
    done = spoke.liquidate(call_for(), NOW)
    assert done.deficit
    assert spoke.reserves.deficit_ray == [0, (5_000 * 10**6 - done.repaid) * RAY, 700 * 10**18 * RAY]
    assert spoke.positions.borrowing == [False] * 3
    assert spoke.positions.collateral[ETH], "the flag stays"


def test_collateral_that_is_left_in_another_reserve_prevents_the_deficit() -> None:
    spoke = simple_spoke(10**18, 5_000 * 10**6, others={"dai_supplied": 10**15})
    assert not spoke.liquidate(call_for(), NOW).deficit
    assert spoke.positions.supplied_shares[ETH] == 0
    assert not any(spoke.reserves.deficit_ray)


def test_a_deficit_is_still_counted_as_an_asset_of_the_suppliers() -> None:
    spoke = simple_spoke(10**18, 5_000 * 10**6)
    before = total_added(spoke.assets, USDC, NOW)
    assert spoke.liquidate(call_for(), NOW).deficit
    assert total_added(spoke.assets, USDC, NOW) == before


def test_what_is_taken_is_repaid_debt_and_bonus_and_the_fee_is_a_share_of_the_bonus() -> None:
    spoke = at_health(simple_spoke(*BIG), 0.9)
    done = asked(spoke, call_for())
    price = spoke.reserves.price_raw
    repaid_usd, removed_usd = done.repaid * price[USDC] / 10**6, done.removed * price[ETH] / 10**18
    assert done.amounts.bonus_bps == 10_500
    assert removed_usd == pytest.approx(repaid_usd * 1.05, rel=1e-9)
    assert done.received * price[ETH] / 10**18 == pytest.approx(repaid_usd * (1 + 0.05 * 0.9), rel=1e-9)


# --- premium ----------------------------------------------------------------------------------------------------


def test_the_risk_premium_weighs_the_least_risky_collateral_that_covers_the_debt() -> None:
    def premium(dai_supplied: int, debt: int) -> int:
        spoke = simple_spoke(10**18, debt, eth_price=2_000 * USD, others={"dai_supplied": dai_supplied})
        spoke.reserves.price_raw[USDC] = spoke.reserves.price_raw[DAI] = USD
        spoke.reserves.collateral_risk_bps[ETH] = 100
        return int(spoke.account(0, NOW).risk_premium_bps)

    assert premium(0, 1_000 * 10**6) == 100
    assert premium(5_000 * 10**18, 2_000 * 10**6) == 100, "ETH alone covers the debt"
    assert premium(5_000 * 10**18, 3_000 * 10**6) == -(-(2_000 * 100 + 1_000 * 1_500) // 3_000)
    assert premium(1_000 * 10**18, 9_000 * 10**6) == -(-(2_000 * 100 + 1_000 * 1_500) // 3_000), "what is not covered"


def test_premium_is_repaid_before_what_was_drawn() -> None:
    spoke = at_health(simple_spoke(*BIG), 0.95)
    spoke.positions.premium_offset_ray[USDC] = spoke.assets.premium_offset_ray[USDC] = -(10**9) * RAY
    spoke.reserves.premium_offset_ray[USDC] = -(10**9) * RAY
    part = asked(spoke, call_for(amount=400 * 10**6)).amounts
    assert (part.drawn_shares, part.premium_ray) == (0, 400 * 10**6 * RAY)
    more = asked(spoke, call_for(amount=1_400 * 10**6)).amounts
    assert (more.drawn_shares, more.premium_ray) == (400 * 10**6, 10**9 * RAY)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_after_a_liquidation_the_account_pays_the_premium_of_the_collateral_it_has_left(seed: int) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke):
        state = spoke.copy()
        if state.liquidate(call, NOW).error != OK:
            continue
        rate = state.positions.risk_premium_bps[call.account]
        assert rate == state.account(call.account, NOW).risk_premium_bps
        for entry in range(state.positions.offsets[call.account], state.positions.offsets[call.account + 1]):
            if state.positions.borrowing[entry] and (rate or spoke.positions.risk_premium_bps[call.account]):
                shares = -(-state.positions.drawn_shares[entry] * rate // 10_000)
                assert state.positions.premium_shares[entry] == shares


# --- interest ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 10**8), st.integers(0, 10**8))
def test_debt_and_share_price_never_fall_with_time(seed: int, first: int, second: int) -> None:
    assets = random_spoke(seed).assets
    for a in range(len(assets.last_update)):
        times = NOW, NOW + first, NOW + first + second
        indices = [drawn_index(assets, a, now) for now in times]
        assert indices == sorted(indices)
        totals = [total_added(assets, a, now) for now in times]
        assert totals == sorted(totals)


def test_the_rate_follows_usage_and_bends_at_the_optimum() -> None:
    def rate(usage: float) -> float:
        spoke = simple_spoke(0, round(usage * 10**13))
        spoke.assets.liquidity_raw[USDC] = 10**13 - spoke.assets.drawn_shares[USDC]
        return float(drawn_rate(spoke.assets, USDC) / RAY)

    assert rate(0) == pytest.approx(0.005)
    assert rate(0.45) == pytest.approx(0.005 + 0.05 / 2)
    assert rate(0.9) == pytest.approx(0.005 + 0.05)
    assert rate(0.95) == pytest.approx(0.005 + 0.05 + 0.5)
    assert rate(1) == pytest.approx(0.005 + 0.05 + 1)


# --- the fast form ----------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(seeds, st.booleans(), st.floats(0, 1))
def test_the_fast_form_agrees_with_the_exact_one(seed: int, receive: bool, share: float) -> None:
    spoke = random_spoke(seed)
    for call in liquidations(spoke, receive_shares=receive):
        most = asked(spoke, call).repaid
        amount = EVERYTHING if share > 0.5 else max(1, round(most * 2 * share))
        asking, state = call._replace(debt_to_cover=amount), spoke.copy()
        exact = state.liquidate(asking, NOW)
        error, margin = fast_form(spoke, asking, NOW, exact, state)
        assert error <= RELATIVE_TOLERANCE
        assert margin is None or margin <= RELATIVE_TOLERANCE


def test_asking_changes_nothing() -> None:
    spoke = random_spoke(7)
    before = spoke.copy()
    data: AccountData = spoke.account(0, NOW)
    assert data == before.account(0, NOW)
    for call in liquidations(spoke):
        asked(spoke, call)
    assert (spoke.assets, spoke.reserves, spoke.positions) == (before.assets, before.reserves, before.positions)
