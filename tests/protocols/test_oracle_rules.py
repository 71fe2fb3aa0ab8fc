"""What price sources compute, against integers worked out by hand; recorded contract answers are in tests/vectors."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.oracles import capo, pendle
from protocols.oracles.ema import LIMITER, decay, ema, limited
from protocols.oracles.kind import Answer, Part
from protocols.oracles.kinds import BY_NAME, KINDS
from protocols.oracles.osm import Module, poke
from protocols.oracles.twap import SPOT, TWAP, mean_tick, quote_at_tick

WAD, YEAR = 10**18, 365 * 86400
START = 1_773_000_000
HOUR = 3600


def started(part: Part, now: int = START) -> Answer:
    start = BY_NAME[part.kind].start
    assert start is not None
    return start(part, now)


def leaf(answer: int, kind: str = "Chainlink feed", decimals: int = 8) -> Part:
    return Part(kind, "", "", decimals, answer)


# --- caps -----------------------------------------------------------------------------------------------------------


def capped_rate(snapshot_rate: int, yearly_bps: int, days: int, rate: int) -> Part:
    growth = snapshot_rate * yearly_bps * 10**6 // 10**4 // YEAR
    parameters = {
        "snapshot_rate_raw": snapshot_rate,
        "growth_scaled": growth,
        "snapshot_at": START - days * 86400,
        "rate_decimals": 18,
    }
    children = {"base": leaf(200_000_000_000), "rate": leaf(rate, "exchange rate", 18)}
    return Part("capped rate", "", "", 8, 0, 0, parameters, children)


def test_a_cap_is_the_snapshot_and_its_growth_since() -> None:
    # 10 % a year on 1.2, after a quarter of a year (91.25 days): 1.23, less three units, as the growth of a second
    # is rounded down at its sixth decimal
    assert (
        capo.rate_cap(12 * 10**17, 12 * 10**17 * 1000 * 10**6 // 10**4 // YEAR, 7_884_000) == 1_229_999_999_999_999_997
    )
    assert capo.rate_cap(10**18, 317_000_000, 10) == 10**18 + 3170
    assert capo.rate_cap(10**18, 317_999, 1) == 10**18, "growth below one unit a second counts when it adds up"
    assert capo.rate_cap(10**18, 317_999, 4) == 10**18 + 1


def test_a_rate_counts_up_to_its_cap_and_no_more() -> None:
    assert capo.capped_rate_price(200_000_000_000, 1_150_000_000_000_000_000, 12 * 10**17, WAD) == 230_000_000_000
    assert capo.capped_rate_price(200_000_000_000, 1_250_000_000_000_000_000, 12 * 10**17, WAD) == 240_000_000_000
    assert capo.capped_rate_price(3, 1_999_999_999_999_999_999, 2 * WAD, WAD) == 5


def test_a_cap_that_is_set_too_low_underprices_as_on_10_march_2026() -> None:
    # the true ratio was 1.2288, the cap let through 1.1938: wstETH counted for 2.85 % too little
    tree = capped_rate(1_192_850_000_000_000_000, 968, 3, 1_228_800_000_000_000_000)
    price = started(tree)({"base": 200_000_000_000, "rate": 1_228_800_000_000_000_000}, START)
    assert capo.cap_of(tree, START) == pytest.approx(1.1938e18, rel=1e-5)
    assert price / (2000e8 * 1.2288) - 1 == pytest.approx(-0.0285, abs=5e-5)
    headroom = BY_NAME["capped rate"].headroom
    assert headroom is not None
    assert headroom(tree, START) == pytest.approx(-0.0285, abs=5e-5)


def test_a_feed_that_answers_nothing_above_zero_makes_the_adapter_answer_zero() -> None:
    tree = capped_rate(WAD, 1000, 30, WAD)
    assert started(tree)({"base": 0, "rate": WAD}, START) == 0
    assert started(tree)({"base": -5, "rate": WAD}, START) == 0


def test_a_stablecoin_follows_its_feed_down_and_stops_at_its_cap() -> None:
    tree = Part("price cap", "", "", 8, 0, 0, {"cap_raw": 104_000_000}, {"asset": leaf(99_000_000)})
    assert [
        started(tree)({"asset": answer}, START) for answer in (88_000_000, 103_999_999, 104_000_001, 130_000_000)
    ] == [
        88_000_000,
        103_999_999,
        104_000_000,
        104_000_000,
    ]


# --- discount to maturity -------------------------------------------------------------------------------------------


def test_a_principal_token_goes_to_par_in_a_straight_line() -> None:
    parameters = {"maturity": START + YEAR // 2, "yearly_discount_wad": 20 * 10**16}
    answer = started(Part("PT discount", "", "", 8, 0, 0, parameters, {"asset": leaf(10**8)}))
    assert [answer({"asset": 10**8}, START + part * YEAR // 8) for part in range(6)] == [
        90_000_000,
        92_500_000,
        95_000_000,
        97_500_000,
        100_000_000,
        100_000_000,
    ]


def test_a_discount_rounds_down_and_so_the_price_is_rounded_after_it() -> None:
    assert pendle.discount(1, 10**17) == 3_170_979_198
    assert pendle.discounted(10**8, 3_170_979_198, WAD) == 99_999_999
    assert pendle.discounted(10**8, 0, WAD) == 10**8


# --- one hour later -------------------------------------------------------------------------------------------------


def test_a_price_waits_an_hour_and_is_taken_on_the_hour() -> None:
    module = Module(2000, 1990, START - START % HOUR)
    due = module.poked_at + HOUR
    assert poke(module, 1500, due - 1, HOUR) == module
    first = poke(module, 1500, due + 7, HOUR)
    assert first == Module(1990, 1500, due)
    assert poke(first, 1400, due + HOUR - 1, HOUR) == first
    assert poke(first, 1400, due + HOUR, HOUR) == Module(1500, 1400, due + HOUR)


def test_hours_that_were_missed_are_made_up_for() -> None:
    assert poke(Module(2000, 1990, 0), 1500, 3 * HOUR + 5, HOUR) == Module(1500, 1500, 3 * HOUR)


# --- averages -------------------------------------------------------------------------------------------------------


def test_a_mean_tick_is_rounded_down_also_below_zero() -> None:
    assert (mean_tick(1799, 1800), mean_tick(-1, 1800), mean_tick(-1800, 1800)) == (0, -1, -1)


def test_a_quote_at_a_tick_is_the_price_either_way() -> None:
    assert quote_at_tick(0, WAD, True) == quote_at_tick(0, WAD, False) == WAD
    # 1.0001**23027 is 9.99957
    assert quote_at_tick(23_027, 10**6, True) == 9_999_974 or quote_at_tick(23_027, 10**6, True) // 1000 == 9999
    up, down = quote_at_tick(69_081, WAD, True), quote_at_tick(69_081, WAD, False)
    assert up * down == pytest.approx(WAD * WAD, rel=1e-12)
    assert up / WAD == pytest.approx(1.0001**69_081, rel=1e-12)
    # high prices take the way with fewer bits
    assert quote_at_tick(500_000, 1, True) == pytest.approx(1.0001**500_000, rel=1e-9)


def twap(window_s: int) -> Answer:
    parameters = {"window_s": window_s, "mean_tick": 1000, "spot_tick": 1000, "base_is_token0": 1, "one_raw": WAD}
    spot = Part(SPOT.name, "", "", 18, quote_at_tick(1000, WAD, True))
    return started(Part(TWAP.name, "", "", 18, quote_at_tick(1000, WAD, True), 0, parameters, {"spot": spot}))


def test_an_average_moves_by_the_part_of_the_window_that_the_price_has_stood_there() -> None:
    answer, low = twap(1800), quote_at_tick(0, WAD, True)
    assert answer({"spot": quote_at_tick(1000, WAD, True)}, START) == quote_at_tick(1000, WAD, True)
    assert answer({"spot": low}, START + 450) == quote_at_tick(750, WAD, True)
    assert answer({"spot": low}, START + 900) == quote_at_tick(500, WAD, True)
    assert answer({"spot": low}, START + 1800) == low
    assert answer({"spot": low}, START + 9000) == low


def test_a_pool_that_is_held_away_for_some_seconds_moves_its_average_little() -> None:
    answer, fair = twap(1800), quote_at_tick(1000, WAD, True)
    assert answer({"spot": 2 * fair}, START + 12) / fair == pytest.approx(2 ** (12 / 1800), rel=1e-3)
    assert answer({"spot": fair}, START + 24) / fair == pytest.approx(2 ** (12 / 1800), rel=1e-3)
    assert answer({"spot": fair}, START + 1813) == fair


@given(st.integers(0, 41 * WAD))
def test_the_decay_is_that_of_the_exponential_function(left_wad: int) -> None:
    # the argument itself is rounded to wad
    assert decay(left_wad) == pytest.approx(exp(-left_wad / WAD) * 1e18, rel=1e-9, abs=2)


def test_the_decay_is_one_at_once_and_nothing_in_the_end() -> None:
    assert decay(0) == WAD
    assert decay(42 * WAD) == 0


def test_an_average_goes_to_its_price_by_the_share_that_its_period_says() -> None:
    assert ema(1000 * WAD, 2000 * WAD, 600, 600) == 1000 * WAD + 1000 * decay(WAD)
    assert ema(1000 * WAD, 2000 * WAD, 0, 600) == 2000 * WAD
    assert ema(1000 * WAD, 2000 * WAD, 10**6, 600) == 1000 * WAD


def test_the_limiter_lets_a_quarter_through_and_everything_after_two_minutes() -> None:
    assert limited(1240, 1000, 12) == 1240
    assert limited(1260, 1000, 12) == 1250
    assert limited(810, 1000, 119) == 810
    assert limited(790, 1000, 119) == 800
    assert (limited(10, 1000, 120), limited(9000, 1000, 120)) == (10, 9000)


def test_a_limited_price_falls_by_a_fifth_of_what_it_was_at_each_step() -> None:
    answer = started(Part(LIMITER.name, "", "", 18, 1000 * WAD, 0, {}, {"source": leaf(1000 * WAD, SPOT.name, 18)}))
    said = [answer({"source": 500 * WAD}, START + step * 60) // WAD for step in (0, 1, 2, 3, 4)]
    assert said == [1000, 800, 640, 512, 500]


# --- all of them ----------------------------------------------------------------------------------------------------


def test_a_kind_computes_or_is_a_leaf_and_says_how_and_how_it_fails() -> None:
    for kind in KINDS:
        assert kind.how
        assert kind.fails
        assert (kind.start is None) or not kind.watching, f"{kind.name} both computes and watches"
    assert len({(kind.name, kind.how) for kind in KINDS}) == len(KINDS) - 1, "the two forms of a fixed price"
