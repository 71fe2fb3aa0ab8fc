"""What holds of liquidation in Aave v3, beyond what recorded answers show."""

from __future__ import annotations

from itertools import product
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.arithmetic import max_uint256
from protocols.lending.aave_v3.rates import compounded_interest
from protocols.lending.aave_v3.rules import OWN, AccountData, Call, Constants, Quote, account_data, liquidate, quote
from protocols.lending.aave_v3.versions import OK, V33, V34, revert_name
from tests.protocols.aave_v3_pools import ALL_VERSIONS, NOW, RAY, random_pool, simple_pool
from tests.vectors.aave_v3_pool import Pool, fast_form
from tests.vectors.outcome import RELATIVE_TOLERANCE

ETH, USDC, DAI = 0, 1, 2
EVERYTHING = max_uint256()
USD = 10**8
SINCE_3_3 = ALL_VERSIONS[3:]

seeds = st.integers(0, 2**40)
versions = st.sampled_from(ALL_VERSIONS)


def call_for(collateral: int = ETH, debt: int = USDC, amount: int = EVERYTHING, account: int = 0, **more: bool) -> Call:
    flags = {"receive_atoken": False, "self_liquidation": False, "sentinel_down": False} | more
    return Call(account, collateral, debt, amount, **flags)


def asked(pool: Pool, call: Call, now: int = NOW, constants: Constants = OWN) -> Quote:
    state = pool.reserves, pool.indices(now), pool.emodes, pool.positions
    return quote(pool.version.code, constants, *state, pool.account(call.account, now), call, now)


def done(pool: Pool, call: Call, now: int = NOW) -> Quote:
    return liquidate(pool.version.code, OWN, pool.reserves, pool.indices(now), pool.emodes, pool.positions, call, now)


def refusal(pool: Pool, call: Call, now: int = NOW) -> str:
    return revert_name(pool.version.code, asked(pool, call, now).error)


def at_health(pool: Pool, target: float) -> Pool:
    """Set the price of ETH so that the health factor is just below `target`."""
    low, high = 1, 10**14
    while low < high:
        middle = (low + high + 1) // 2
        pool.reserves.price_raw[ETH] = middle
        low, high = (middle, high) if pool.account(0, NOW).health_factor < target * 10**18 else (low, middle - 1)
    pool.reserves.price_raw[ETH] = low
    return pool


def liquidations(pool: Pool) -> list[Call]:
    """Every pair of every account."""
    size = len(pool.symbols)
    return [
        call_for(collateral, debt, EVERYTHING, account)
        for account, collateral, debt in product(range(len(pool.positions.emode)), range(size), range(size))
    ]


# --- amounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_enough_collateral_pays_the_same_in_every_version(version: str) -> None:
    quoted = asked(simple_pool(version, 10 * 10**18, 5_000 * 10**6, threshold_bps=2_000), call_for())
    assert (quoted.repaid, quoted.received) == (5_000 * 10**6, 2612306482151670213)
    assert quoted.fee == 12499074077280719


@pytest.mark.parametrize(
    ("version", "repaid"), [*((v, 3809806016) for v in ALL_VERSIONS[:5]), *((v, 3809806017) for v in ALL_VERSIONS[5:])]
)
def test_repayment_capped_by_collateral_rounds_up_since_3_5(version: str, repaid: int) -> None:
    quoted = asked(simple_pool(version, 2 * 10**18, 5_000 * 10**6), call_for())
    assert quoted.capped
    assert (quoted.repaid, quoted.received, quoted.fee) == (repaid, 1990476190476190476, 9523809523809524)


@pytest.mark.parametrize("version", ALL_VERSIONS[:3])
def test_before_3_3_half_of_the_debt_in_the_asset_may_be_repaid(version: str) -> None:
    pool = at_health(simple_pool(version, 10**19, 9_001 * 10**6, others={"dai_debt": 5_000 * 10**18}), 0.97)
    assert asked(pool, call_for()).repaid == 9_001 * 10**6 // 2


@pytest.mark.parametrize("version", SINCE_3_3)
def test_since_3_3_half_of_the_total_debt_may_be_repaid_out_of_one_asset(version: str) -> None:
    pool = at_health(simple_pool(version, 10**19, 9_000 * 10**6, others={"dai_debt": 5_000 * 10**18}), 0.97)
    half_usd = pool.account(0, NOW).debt / 2 / USD
    repaid_usd = asked(pool, call_for()).repaid / 10**6 * 0.99998765
    assert repaid_usd == pytest.approx(half_usd, rel=1e-8)
    assert repaid_usd > 9_000 / 2


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_at_a_health_factor_of_0_95_the_whole_debt_may_be_repaid(version: str) -> None:
    pool = at_health(simple_pool(version, 10**19, 9_000 * 10**6), 0.95)
    assert pool.account(0, NOW).health_factor < 95 * 10**16
    assert asked(pool, call_for()).repaid == 9_000 * 10**6


@pytest.mark.parametrize("version", SINCE_3_3)
def test_a_debt_below_2000_usd_may_be_repaid_whole_since_3_3(version: str) -> None:
    small = at_health(simple_pool(version, 10**19, 1_999 * 10**6, others={"dai_debt": 9_000 * 10**18}), 0.97)
    large = at_health(simple_pool(version, 10**19, 2_001 * 10**6), 0.97)
    assert asked(small, call_for()).offered == 1_999 * 10**6
    assert asked(large, call_for()).error != OK or asked(large, call_for()).offered < 2_001 * 10**6


@pytest.mark.parametrize("version", SINCE_3_3)
def test_less_than_1000_usd_may_not_be_left_of_debt_and_collateral(version: str) -> None:
    pool = at_health(simple_pool(version, 10**19, 9_000 * 10**6), 0.9)
    allowed, dust = (call_for(amount=9_000 * 10**6 - left * 10**6) for left in (1_002, 998))
    assert asked(pool, allowed).error == OK
    assert "103" in refusal(pool, dust) or refusal(pool, dust) == "MustNotLeaveDust()"


def test_before_3_3_dust_may_be_left() -> None:
    pool = at_health(simple_pool("3.2", 10**19, 9_000 * 10**6), 0.9)
    assert asked(pool, call_for(amount=8_999 * 10**6)).error == OK


@settings(max_examples=150, deadline=None)
@given(seeds, versions, st.sampled_from([Constants(10_000), Constants(close_factor_hf_threshold_wad=10**18)]))
def test_a_close_factor_of_1_or_for_nobody_lets_every_liquidation_take_the_whole(
    seed: int, version: str, constants: Constants
) -> None:
    pool = random_pool(seed, version)
    for call in liquidations(pool):
        quoted = asked(pool, call, constants=constants)
        if quoted.error == OK:
            # since 3.3 the debt's worth is cut to whole base units
            base_unit = -(-pool.reserves.unit[call.debt] // pool.reserves.price_raw[call.debt])
            assert quoted.debt - base_unit <= quoted.offered <= quoted.debt
            assert quoted.repaid == quoted.offered or quoted.capped


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_another_close_factor_is_of_what_half_is_of_and_starts_at_its_own_health(version: str) -> None:
    pool = at_health(simple_pool(version, 10**19, 9_000 * 10**6), 0.8)
    assert asked(pool, call_for()).offered == 9_000 * 10**6
    three_tenths = Constants(3_000, 79 * 10**16)
    assert asked(pool, call_for(), constants=three_tenths).offered == pytest.approx(2_700 * 10**6, abs=1)
    assert asked(pool, call_for(), constants=Constants(3_000)).offered == 9_000 * 10**6


# --- who may be liquidated --------------------------------------------------------------------------------------


def test_a_health_factor_of_exactly_one_is_healthy() -> None:
    pool = simple_pool("3.6", 10**18, 800 * 10**6, collateral_price=1_000 * USD, debt_price=USD)
    assert pool.account(0, NOW).health_factor == 10**18
    assert refusal(pool, call_for()) == "HealthFactorNotBelowThreshold()"
    pool.positions.debt_scaled[1] += 1
    assert asked(pool, call_for()).error == OK


def test_an_account_without_debt_has_the_largest_health_factor() -> None:
    assert simple_pool("3.6", 10**18, 0).account(0, NOW).health_factor == 2**256 - 1


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("active", {"3.3": "27", "3.6": "ReserveInactive()"}),
        ("paused", {"3.3": "29", "3.6": "ReservePaused()"}),
        ("grace_until", {"3.3": "97", "3.6": "LiquidationGraceSentinelCheckFailed()"}),
    ],
)
def test_a_reserve_that_is_inactive_paused_or_in_its_grace_period_blocks(change: str, names: dict[str, str]) -> None:
    for (version, name), reserve in product(names.items(), (ETH, USDC)):
        pool = simple_pool(version, 2 * 10**18, 5_000 * 10**6)
        getattr(pool.reserves, change)[reserve] = {"active": False, "paused": True, "grace_until": NOW}[change]
        assert refusal(pool, call_for()) == name


def test_the_grace_period_is_over_a_second_after_it_ends() -> None:
    pool = simple_pool("3.6", 2 * 10**18, 5_000 * 10**6)
    pool.reserves.grace_until[ETH] = NOW - 1
    assert asked(pool, call_for()).error == OK


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_a_sequencer_that_is_down_spares_health_factors_from_0_95_up_until_3_6(version: str) -> None:
    pool = simple_pool(version, 10**19, 9_000 * 10**6)
    spared = refusal(at_health(pool, 0.97), call_for(sentinel_down=True))
    assert spared == {"3.7": ""}.get(version, "59" if version < "3.4" else "PriceOracleSentinelCheckFailed()")
    assert asked(at_health(pool, 0.95), call_for(sentinel_down=True)).error == OK


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_nobody_liquidates_himself_since_3_4(version: str) -> None:
    pool = simple_pool(version, 2 * 10**18, 5_000 * 10**6)
    assert refusal(pool, call_for(self_liquidation=True)) == ("" if version < "3.4" else "SelfLiquidation()")


def test_collateral_that_is_not_enabled_and_debt_that_is_not_owed_are_refused() -> None:
    pool = simple_pool("3.6", 2 * 10**18, 5_000 * 10**6)
    assert refusal(pool, call_for(collateral=DAI)) == "CollateralCannotBeLiquidated()"
    assert refusal(pool, call_for(debt=DAI)) == "SpecifiedCurrencyNotBorrowedByUser()"


def test_collateral_that_the_pool_cannot_pay_out_can_be_had_as_atokens_only() -> None:
    pool = simple_pool("3.6", 2 * 10**18, 5_000 * 10**6)
    pool.reserves.liquidity_raw[ETH] = 10**18
    assert refusal(pool, call_for()) == "Panic(0x11)"
    assert asked(pool, call_for(receive_atoken=True)).error == OK


def test_worthless_collateral_is_a_division_by_zero() -> None:
    assert refusal(simple_pool("3.6", 10**18, 10**9, collateral_price=0), call_for()) == "Panic(0x12)"


# --- what becomes of the pool -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seeds, versions)
def test_whoever_takes_atokens_gets_what_the_account_loses_and_no_token_is_paid_out(seed: int, version: str) -> None:
    pool = random_pool(seed, version)
    for call in liquidations(pool):
        before, asking = pool.copy(), call._replace(receive_atoken=True)
        found = done(pool, asking)
        if found.error != OK:
            assert (pool.reserves, pool.positions) == (before.reserves, before.positions)
            continue
        for r in range(len(pool.symbols)):
            was, now = before.reserves, pool.reserves
            paid_in = found.repaid if r == call.debt else 0
            assert now.liquidity_raw[r] == was.liquidity_raw[r] + paid_in
            burnt = _total(before, "debt_scaled", r) - _total(pool, "debt_scaled", r)
            assert now.debt_scaled[r] == was.debt_scaled[r] - burnt
            moved = found.received_scaled + found.fee_scaled if r == call.collateral else 0
            assert _total(pool, "supplied_scaled", r) == _total(before, "supplied_scaled", r) - moved
            assert now.supply_scaled[r] == was.supply_scaled[r]
            assert now.treasury_scaled[r] == was.treasury_scaled[r] + moved - (moved and found.received_scaled)
        assert min(pool.positions.supplied_scaled) >= 0 <= min(pool.positions.debt_scaled)


def _total(pool: Pool, column: str, r: int) -> int:
    amounts = zip(pool.positions.reserve, getattr(pool.positions, column), strict=True)
    return sum(amount for reserve, amount in amounts if reserve == r)


@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from(SINCE_3_3))
def test_a_deficit_appears_exactly_when_no_collateral_is_left(seed: int, version: str) -> None:
    pool = random_pool(seed, version)
    for call in liquidations(pool):
        before = pool.copy()
        if done(pool, call).error != OK:
            continue
        after = pool.account(call.account, NOW)
        written_off = sum(pool.reserves.deficit_raw) - sum(before.reserves.deficit_raw)
        if after.collateral > 0:
            assert written_off == 0
        if written_off:
            assert (after.debt, after.health_factor) == (0, 2**256 - 1)


def test_bad_debt_in_other_reserves_is_written_off_too() -> None:
    pool = simple_pool("3.6", 10**18, 5_000 * 10**6, others={"dai_debt": 700 * 10**18})
    found = done(pool, call_for())
    assert found.cleared
    assert pool.reserves.deficit_raw == [0, 5_000 * 10**6 - found.repaid, 700 * 10**18]
    assert pool.positions.borrowing == [False] * 3


@pytest.mark.parametrize("version", ALL_VERSIONS[:3])
def test_before_3_3_bad_debt_stays_with_the_account(version: str) -> None:
    pool = simple_pool(version, 10**18, 5_000 * 10**6)
    found = done(pool, call_for())
    assert pool.positions.debt_scaled[USDC] == 5_000 * 10**6 - found.repaid
    assert pool.reserves.deficit_raw == [0, 0, 0]


@pytest.mark.parametrize(("version", "reduced"), [("3.2", False), ("3.3", True), ("3.6", True)])
def test_isolated_debt_falls_by_what_is_repaid_and_before_3_3_not_if_all_is_taken(version: str, reduced: bool) -> None:
    pool = simple_pool(version, 10**18, 5_000 * 10**6)
    pool.reserves.debt_ceiling[ETH] = 10**10
    pool.reserves.isolated_debt[ETH] = 600_000
    found = done(pool, call_for())
    assert pool.reserves.isolated_debt[ETH] == 600_000 - (found.repaid // 10**4 if reduced else 0)


@pytest.mark.parametrize(("version", "times"), [("3.4", 1), ("3.5", 2), ("3.6", 2), ("3.7", 1)])
def test_debt_and_collateral_in_one_reserve_pay_the_treasury_twice_in_3_5_and_3_6(version: str, times: int) -> None:
    pool = simple_pool(version, 0, 5_000 * 10**6)
    pool.positions.supplied_scaled[USDC], pool.positions.collateral[USDC] = 4_000 * 10**6, True
    pool.reserves.last_update[USDC] = NOW - 10**7
    accrued = pool.reserves.debt_scaled[USDC] * 0.04 * 10**7 / 31_536_000 * 0.1
    assert done(pool, call_for(USDC, USDC)).error == OK
    assert pool.reserves.treasury_accrued_scaled[USDC] == pytest.approx(times * accrued, rel=0.02)


def test_only_3_3_makes_collateral_again_of_what_an_account_liquidated_from_itself() -> None:
    for version in ALL_VERSIONS[:4]:
        pool = simple_pool(version, 10**18, 5_000 * 10**6)
        assert done(pool, call_for(receive_atoken=True, self_liquidation=True)).emptied
        assert pool.positions.collateral[ETH] == (version == "3.3")


# --- accounts ---------------------------------------------------------------------------------------------------


def test_an_average_threshold_is_truncated_until_3_4_and_exact_since() -> None:
    more = {"dai_supplied": 1_000 * 10**18}
    truncated, untruncated = (simple_pool(v, 10**18, 10**9, others=more).account(0, NOW) for v in ("3.4", "3.6"))
    assert truncated.threshold == untruncated.threshold
    by_average = truncated.collateral * truncated.threshold * 10**14 / truncated.debt
    assert truncated.health_factor == pytest.approx(by_average, rel=1e-10)
    assert untruncated.health_factor > truncated.health_factor * (1 + 1e-6)


def test_a_category_replaces_threshold_bonus_and_ltv_of_its_members_only() -> None:
    def data(members: list[bool], isolated: bool = False) -> AccountData:
        pool = simple_pool("3.7", 10**18, 10**9, others={"dai_supplied": 2_000 * 10**18})
        nobody = [False] * 3
        parameters = ([0, 9_000], [0, 9_300], [0, 10_100], [0, 0], [False, isolated])
        pool.emodes = pool.emodes._replace(
            **dict(zip(pool.emodes._fields, ([nobody, members], [nobody, nobody], *parameters), strict=True))
        )
        pool.positions.emode[0] = 1
        return pool.account(0, NOW)

    plain = simple_pool("3.7", 10**18, 10**9, others={"dai_supplied": 2_000 * 10**18}).account(0, NOW)
    assert data([False] * 3) == plain
    assert data([True, False, True]).threshold == 9_300
    assert plain.threshold < data([True, False, False]).threshold < 9_300
    assert data([True, False, False], isolated=True).ltv < data([True, False, False]).ltv


# --- interest ---------------------------------------------------------------------------------------------------


def test_both_formulas_of_compounded_interest_are_near_the_exponential() -> None:
    for (version, error), seconds in product(((V33, 1e-5), (V34, 1e-6)), (1, 12, 86_400, 31_536_000)):
        growth = compounded_interest(version, 5 * RAY // 100, seconds) / RAY
        assert growth == pytest.approx(exp(0.05 * seconds / 31_536_000), rel=error)
    assert compounded_interest(V33, RAY // 20, 10**7) != compounded_interest(V34, RAY // 20, 10**7)


@settings(max_examples=30, deadline=None)
@given(seeds, versions, st.integers(0, 10**8))
def test_indices_never_fall(seed: int, version: str, seconds: int) -> None:
    pool = random_pool(seed, version)
    before, after = pool.indices(NOW), pool.indices(NOW + seconds)
    assert all(
        was <= now for was, now in zip([*before.income, *before.debt], [*after.income, *after.debt], strict=True)
    )


# --- the fast form ----------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(seeds, versions, st.booleans(), st.floats(0, 1))
def test_the_fast_form_agrees_with_the_exact_one(seed: int, version: str, receive: bool, share: float) -> None:
    pool = random_pool(seed, version)
    for call in liquidations(pool):
        most = asked(pool, call).offered
        amount = EVERYTHING if share > 0.5 else max(1, round(most * 2 * share))
        before, asking = pool.copy(), call._replace(debt_to_cover=amount, receive_atoken=receive)
        exact = done(pool, asking)
        error, margin = fast_form(before, asking, NOW, exact, pool)
        assert error <= RELATIVE_TOLERANCE
        assert margin is None or margin <= RELATIVE_TOLERANCE


def test_account_data_does_not_change_what_it_reads() -> None:
    pool = random_pool(7, "3.6")
    before = pool.copy()
    account_data(pool.version.code, pool.reserves, pool.indices(NOW), pool.emodes, pool.positions, 0)
    assert (pool.reserves, pool.positions) == (before.reserves, before.positions)
