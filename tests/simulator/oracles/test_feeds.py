"""A feed speaks when the price has moved enough or its heartbeat has run out, and is heard a delay later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols import compiled
from simulator.oracles.feeds import Feed, faults_for, rule_for, speaks
from simulator.scenario import OracleFault, OracleRule, Oracles
from tests.simulator.books import START, STEP_S, Account, make_scenario, make_snapshot, play


def feed(deviation: float = 0.01, heartbeat_s: float = 1000.0, delay_s: float = 0.0, scale: float = 1.0) -> Feed:
    rule = OracleRule(deviation=deviation, heartbeat_s=heartbeat_s, delay_s=delay_s)
    return Feed(rule, answered=200.0, answered_at=0.0, scale=scale)


def test_a_feed_is_silent_while_the_price_stays_near() -> None:
    assert feed().watch(500.0, 201.9) is None
    assert feed().watch(500.0, 198.1) is None


@pytest.mark.parametrize("price", [202.5, 197.5])
def test_a_move_by_the_deviation_is_answered_either_way(price: float) -> None:
    assert feed().watch(1.0, price) == price


def test_a_move_of_exactly_the_deviation_is_enough() -> None:
    assert feed(deviation=0.25).watch(1.0, 250.0) == 250.0
    assert feed(deviation=0.25).watch(1.0, 249.99) is None


def test_a_compiled_loop_goes_by_the_same_rule_as_a_feed() -> None:
    fast, said = compiled.fast(speaks), []
    for moment in (1.0, 999.0, 1000.0):
        for price in (198.0, 198.1, 200.0, 201.9, 202.0, 400.0):
            taken = feed().watch(moment, price) is not None
            assert fast(price, 200.0, moment, 0.0, 0.01, 1000.0) == taken
            said.append(taken)
    assert 0 < sum(said) < len(said)


def test_the_heartbeat_is_answered_at_the_first_moment_it_has_run_out() -> None:
    watched = feed()
    assert watched.watch(999.0, 200.4) is None
    assert watched.watch(1000.0, 200.4) == 200.4


def test_the_deviation_counts_from_the_last_answer_and_not_from_the_start() -> None:
    watched = feed()
    said = [watched.watch(float(n), 200.0 * 1.006**n) for n in range(1, 5)]
    assert [answer is not None for answer in said] == [False, True, False, True]


def test_an_answer_starts_the_heartbeat_anew() -> None:
    watched = feed()
    assert watched.watch(700.0, 210.0) == 210.0
    assert watched.watch(1699.0, 210.0) is None
    assert watched.watch(1700.0, 210.0) == 210.0


def test_an_answer_is_heard_a_delay_after_it_was_taken() -> None:
    watched = feed(delay_s=30.0)
    assert watched.watch(100.0, 150.0) is None
    assert watched.watch(129.0, 150.0) is None
    assert watched.watch(130.0, 151.0) == 150.0
    assert watched.watch(160.0, 151.0) is None


def test_of_several_answers_that_are_due_the_newest_is_heard() -> None:
    watched = feed(delay_s=30.0)
    for now, price in ((100.0, 150.0), (110.0, 120.0), (120.0, 90.0)):
        assert watched.watch(now, price) is None
    assert watched.watch(145.0, 90.0) == 120.0
    assert watched.watch(150.0, 90.0) == 90.0


def test_a_feed_that_differed_from_the_market_goes_on_differing() -> None:
    assert feed(scale=0.97).watch(1.0, 300.0) == pytest.approx(291.0, rel=1e-15)


@given(
    st.floats(0.0, 0.2),
    st.floats(10.0, 500.0),
    st.lists(st.tuples(st.floats(1.0, 100.0), st.floats(1.0, 1e4)), max_size=40),
)
def test_without_a_delay_what_was_last_heard_is_near_and_fresh(
    deviation: float, heartbeat_s: float, moves: list[tuple[float, float]]
) -> None:
    watched = feed(deviation, heartbeat_s)
    now, heard, heard_at = 0.0, 200.0, 0.0
    for seconds, price in moves:
        now += seconds
        if (answer := watched.watch(now, price)) is not None:
            heard, heard_at = answer, now
        assert heard == price or (abs(price / heard - 1.0) < deviation and now - heard_at < heartbeat_s)


def test_a_token_has_its_own_rule_by_any_of_its_names_or_that_of_all() -> None:
    own = OracleRule(deviation=0.2)
    oracles = Oracles(deviation=0.1, per_token={"Eth": own})
    assert rule_for(oracles, frozenset({"0xc0", "eth"})) is own
    assert rule_for(oracles, frozenset({"0xa0", "usd"})) is oracles


# --- in a run -------------------------------------------------------------------------------------------------------


def steps_spoken(moves: list[float], oracles: dict[str, object], token: str = "0xc0") -> list[int]:
    """Steps in which the feed of ETH published."""
    snapshot = make_snapshot({"safe": Account({"ETH": 10.0}, {"USD": 5.0})})
    played = play(snapshot, make_scenario({"ETH": moves}, steps=len(moves), oracles=oracles))
    return [row["step"] for row in played.record.prices if row["token"] == token and row["published"]]


def test_the_market_believes_a_fall_in_the_very_step_that_reaches_the_deviation() -> None:
    falls = [0.994, 0.988, 0.982, 0.976, 0.970, 0.964]
    assert steps_spoken(falls, {"deviation": 0.0115, "heartbeat_s": 1e6}) == [2, 4, 6]
    assert steps_spoken(falls, {"deviation": 0.0125, "heartbeat_s": 1e6}) == [3, 6]


def test_the_heartbeat_counts_from_the_last_answer_before_the_snapshot() -> None:
    # ETH's feed last answered 61 s, USD's 193 s before the snapshot; steps are 60 s
    quiet = [1.0] * 8
    assert steps_spoken(quiet, {"deviation": 0.5, "heartbeat_s": 301.0}, "0xc0") == [4]
    assert steps_spoken(quiet, {"deviation": 0.5, "heartbeat_s": 302.0}, "0xc0") == [5]
    assert steps_spoken(quiet, {"deviation": 0.5, "heartbeat_s": 301.0}, "0xa0") == [2, 8]


def test_a_delay_holds_an_answer_back_by_whole_steps() -> None:
    fall = [0.7, 0.7, 0.7, 0.7]
    for delay_s, step in ((0.0, 1), (0.5, 2), (60.0, 2), (60.5, 3), (180.0, 4)):
        assert steps_spoken(fall, {"deviation": 0.01, "heartbeat_s": 1e6, "delay_s": delay_s}) == [step]


def test_a_token_with_a_rule_of_its_own_speaks_by_it() -> None:
    oracles = {"deviation": 0.5, "heartbeat_s": 1e6, "per_token": {"ETH": {"deviation": 0.01, "heartbeat_s": 1e6}}}
    assert steps_spoken([0.9], oracles, "0xc0") == [1]
    assert steps_spoken([0.9], {"deviation": 0.5, "heartbeat_s": 1e6}, "0xc0") == []


def test_an_account_is_liquidated_when_the_oracle_says_so_and_not_before() -> None:
    # at 80 % of its price ETH no longer covers the debt; the market's price is there in step 1
    account = Account({"ETH": 100.0}, {"USD": 210_000.0})
    snapshot = make_snapshot({"a": account})
    for delay_s, step in ((0.0, 1), (120.0, 3), (121.0, 4)):
        rule = {"deviation": 0.01, "heartbeat_s": 1e6, "delay_s": delay_s}
        played = play(snapshot, make_scenario({"ETH": 0.8}, steps=5, oracles=rule))
        assert {row["step"] for row in played.record.liquidations} == {step}
        assert min(row["step"] for row in played.record.liquidatable) == step
        assert played.record.liquidations[0]["timestamp"] == START + step * STEP_S


def test_an_oracle_that_does_not_look_up_leaves_a_broken_account_alone() -> None:
    snapshot = make_snapshot({"a": Account({"ETH": 100.0}, {"USD": 210_000.0})})
    played = play(snapshot, make_scenario({"ETH": 0.6}, steps=5, oracles={"deviation": 0.5, "heartbeat_s": 1e6}))
    assert played.record.liquidations == []
    assert played.record.liquidatable == []
    # the market price knows better: what a liquidation could not recover is bad debt already
    assert played.record.steps[0]["bad_debt_economic_usd"] == pytest.approx(
        210_000.0 * 0.99993 - 100.0 * 2904.37 * 0.6 / 1.05, rel=1e-6
    )


def faulty(**fault: object) -> Feed:
    """A feed that answers every move at once, with something wrong from 100 to 200 seconds after its start at 1000."""
    wrong = OracleFault.model_validate({"tokens": ["ETH"], "from_s": 100.0, "until_s": 200.0, **fault})
    rule = OracleRule(deviation=0.0, heartbeat_s=1e9, delay_s=0.0)
    return Feed(rule, answered=200.0, answered_at=1000.0, scale=2.0, started=1000.0, faults=[wrong])


def test_a_stuck_feed_says_nothing_and_then_catches_up() -> None:
    feed = faulty(kind="stuck")
    said = [feed.watch(now, price) for now, price in ((1099.0, 190.0), (1100.0, 150.0), (1199.0, 90.0), (1200.0, 80.0))]
    assert said == [380.0, None, None, 160.0]


def test_an_answer_under_a_floor_or_over_a_ceiling_is_the_bound() -> None:
    assert faulty(kind="floor", value=300.0).watch(1150.0, 100.0) == 300.0
    assert faulty(kind="floor", value=300.0).watch(1150.0, 180.0) == 360.0
    assert faulty(kind="ceiling", value=300.0).watch(1150.0, 180.0) == 300.0
    assert faulty(kind="ceiling", value=300.0).watch(1250.0, 180.0) == 360.0


def test_a_spiked_feed_answers_a_multiple_while_it_lasts() -> None:
    feed = faulty(kind="factor", value=1.3)
    assert [feed.watch(now, 200.0) for now in (1050.0, 1150.0, 1250.0)] == [400.0, 520.0, 400.0]


def test_a_late_answer_arrives_so_much_later() -> None:
    feed = faulty(kind="late", value=30.0)
    assert feed.watch(1150.0, 100.0) is None
    assert feed.watch(1179.0, 100.0) is None
    assert feed.watch(1180.0, 100.0) == 200.0


def test_faults_are_those_of_the_tokens_named() -> None:
    oracles = Oracles(
        faults=[OracleFault(tokens=["ETH", "0xAB"], kind="stuck"), OracleFault(tokens=["USD"], kind="stuck")]
    )
    assert faults_for(oracles, frozenset({"0xab", "weth"})) == oracles.faults[:1]
    assert faults_for(oracles, frozenset({"btc"})) == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "floor"}, "value is needed"),
        ({"kind": "stuck", "value": 2.0}, "takes no value"),
        ({"kind": "stuck", "from_s": 10.0, "until_s": 10.0}, "until_s must be later"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OracleFault.model_validate({"tokens": ["ETH"], **fault})
