"""Parameters that are in no snapshot: how feeds speak, as the scenario has it whose oracles paths are run with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from chain.tables import Column, Schema
from protocols.lending.parameters import Parameter
from simulator.audit.settings import Setting
from simulator.book import Token
from simulator.oracles.feeds import rule_for
from simulator.scenario import OracleRule, Scenario

ALL = "oracles"
"""What keys of the rule of every feed begin with; those of one token's feeds, with ``oracles/SYMBOL``."""

RULES = Schema.of(
    "scenario.oracles",
    [Column("token", "text", "address; empty for every feed without a rule of its own")],
    *(Column(name, "float64", field.description or "") for name, field in OracleRule.model_fields.items()),
)
PARAMETERS = (
    Parameter("deviation", RULES, "deviation", 10**9, most=1.0),
    Parameter("heartbeat_s", RULES, "heartbeat_s", 1000, least=0.001, most=1e7),
    Parameter("delay_s", RULES, "delay_s", 1000, most=1e6),
)


def feed_settings(scenario: Scenario, tokens: Sequence[Token]) -> dict[str, Setting]:
    """How every feed speaks, and how those of each token do, by key such as ``oracles/WETH.delay_s``."""
    oracles = scenario.oracles
    subjects: dict[str, OracleRule] = {ALL: oracles}
    subjects |= {f"{ALL}/{token.symbol}": rule_for(oracles, token.names) for token in tokens}
    found = {}
    for subject, rule in subjects.items():
        for parameter in PARAMETERS:
            scale = int(parameter.scale)
            raw = round(Decimal(str(getattr(rule, parameter.column))) * scale)
            setting = Setting(f"{subject}.{parameter.name}", "", parameter, (), scale, raw)
            found[setting.key] = setting
    return found


def with_rules(
    scenario: Scenario, tokens: Sequence[Token], known: Mapping[str, Setting], raws: Mapping[str, int]
) -> Scenario:
    """The scenario with other rules; `raws` has those that differ. A token's own rule takes what it does not say from
    that of every feed."""
    changes: dict[str, dict[str, float]] = {}
    for key, raw in raws.items():
        setting = known[key]
        subject = key.removesuffix(f".{setting.parameter.name}")
        changes.setdefault(subject, {})[setting.parameter.column] = raw / setting.scale
    if not changes:
        return scenario
    oracles = scenario.oracles.model_copy(update=changes.pop(ALL, {}))
    names = tuple(OracleRule.model_fields)
    per_token: dict[str, Any] = dict(oracles.per_token)
    for token in tokens:
        change = changes.get(f"{ALL}/{token.symbol}")
        if change is not None:
            own = rule_for(oracles, token.names)
            per_token = {name: rule for name, rule in per_token.items() if name.lower() not in token.names}
            per_token[token.address] = OracleRule(**{name: getattr(own, name) for name in names} | change)
    return scenario.model_copy(update={"oracles": oracles.model_copy(update={"per_token": per_token})})
