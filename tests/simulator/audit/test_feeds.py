"""How feeds speak, as parameters: of all, and of one token's."""

from __future__ import annotations

from decimal import Decimal

from simulator.audit.feeds import feed_settings, with_rules
from simulator.audit.settings import chosen
from simulator.book import Token
from simulator.oracles.feeds import rule_for
from simulator.scenario import OracleRule
from tests.simulator.books import make_scenario

TOKENS = [Token("0xc0", "ETH", 18), Token("0x22", "BTC", 8)]
ORACLES = {
    "deviation": 0.005,
    "heartbeat_s": 3600.0,
    "delay_s": 12.0,
    "per_token": {"0xC0": {"deviation": 0.001, "heartbeat_s": 60.0}},
}
SCENARIO = make_scenario({}, oracles=ORACLES)
KNOWN = feed_settings(SCENARIO, TOKENS)


def changed(**values: float) -> tuple[OracleRule, OracleRule]:
    """The rules of ETH's and of BTC's feeds; keys have _of_ for a slash and a dot."""
    wanted = {key.replace("_of_", "/", 1).replace("__", "."): value for key, value in values.items()}
    raws = {key: raws[0] for key, raws in chosen(KNOWN, wanted).items()}
    scenario = with_rules(SCENARIO, TOKENS, KNOWN, raws)
    return rule_for(scenario.oracles, TOKENS[0].names), rule_for(scenario.oracles, TOKENS[1].names)


def test_every_rule_has_the_scenarios_values() -> None:
    assert KNOWN["oracles.deviation"].value == Decimal("0.005")
    assert KNOWN["oracles/ETH.deviation"].value == Decimal("0.001")
    assert KNOWN["oracles/BTC.delay_s"].value == 12
    assert KNOWN["oracles.heartbeat_s"].parameter.meaning.startswith("longest time")
    assert with_rules(SCENARIO, TOKENS, KNOWN, {}) is SCENARIO


def test_the_rule_of_every_feed_leaves_a_tokens_own_rule_alone() -> None:
    eth, btc = changed(oracles__deviation=0.02)
    assert (eth.deviation, btc.deviation) == (0.001, 0.02)
    assert (btc.heartbeat_s, btc.delay_s) == (3600.0, 12.0)


def test_a_tokens_rule_takes_the_rest_from_its_own_or_from_that_of_every_feed() -> None:
    eth, btc = changed(oracles_of_ETH__delay_s=900, oracles_of_BTC__delay_s=30, oracles__deviation=0.02)
    assert (eth.deviation, eth.heartbeat_s, eth.delay_s) == (0.001, 60.0, 900.0)
    assert (btc.deviation, btc.heartbeat_s, btc.delay_s) == (0.02, 3600.0, 30.0)
