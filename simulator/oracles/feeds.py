"""When a price feed speaks: Chainlink's push model, feed by feed, and what can be wrong with it.

A feed watches the outside price. It takes an answer when the price has moved by its deviation since the last answer
it took, or when its heartbeat has run out; the answer reaches the protocol a delay later. A fault changes what it sees
or when it speaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.arithmetic import rule
from simulator.scenario import OracleFault, OracleRule, Oracles


@rule
def speaks(seen: float, last: float, now: float, last_at: float, deviation: float, heartbeat_s: float) -> bool:
    """Whether a feed takes an answer: the price has moved far enough since the last one, or that one is too old.

    Plain Python, and compiled the same.

    Parameters
    ----------
    seen, last
        What the feed sees now, and the last answer it took, in one unit.
    now, last_at
        Times of the two, seconds.
    deviation, heartbeat_s
        The feed's rule: a share of the last answer, and seconds.
    """
    return abs(seen / last - 1.0) >= deviation or now - last_at >= heartbeat_s


@dataclass
class Feed:
    """One market's price source for one token.

    Attributes
    ----------
    rule
        Deviation, heartbeat and delay.
    answered
        Outside price at the last answer taken, in what the market's prices are in.
    answered_at
        When it was taken, unix seconds.
    scale
        What the feed says over the outside price at the start, so that a feed that differed goes on differing.
    started
        When the run began, unix seconds; faults count from then.
    faults
        What goes wrong with this feed.
    low, high
        Answers outside are not taken, so that the last one stands; in what the market's prices are in.
    """

    rule: OracleRule
    answered: float
    answered_at: float
    scale: float = 1.0
    started: float = 0.0
    faults: Sequence[OracleFault] = ()
    low: float = 0.0
    high: float = float("inf")
    _under_way: deque[tuple[float, float]] = field(default_factory=deque)

    def watch(self, now: float, outside: float) -> float | None:
        """What is published at time `now` (the newest answer that has become due), or None.

        Parameters
        ----------
        now
            Unix seconds; must not decrease from call to call.
        outside
            Outside price of one whole token, in the same unit.
        """
        faults = [fault for fault in self.faults if fault.active(now - self.started)]
        if any(fault.kind == "stuck" for fault in faults):
            return None
        seen = distorted(outside * self.scale, faults) / self.scale
        due = speaks(seen, self.answered, now, self.answered_at, self.rule.deviation, self.rule.heartbeat_s)
        if due and self.low <= seen * self.scale <= self.high:
            self.answered, self.answered_at = seen, now
            late = sum(fault.value or 0.0 for fault in faults if fault.kind == "late")
            self._under_way.append((now + self.rule.delay_s + late, seen * self.scale))
        published = None
        while self._under_way and self._under_way[0][0] <= now:
            published = self._under_way.popleft()[1]
        return published


def distorted(answer: float, faults: Sequence[OracleFault]) -> float:
    """What a feed answers under its faults, which act in the order of the scenario."""
    for fault in faults:
        value = fault.value or 1.0
        if fault.kind in ("factor", "manipulated"):
            answer *= value
        elif fault.kind == "floor":
            answer = max(answer, value)
        elif fault.kind == "ceiling":
            answer = min(answer, value)
    return answer


def faults_for(oracles: Oracles, names: frozenset[str]) -> list[OracleFault]:
    """What goes wrong with the feeds of a token."""
    return [fault for fault in oracles.faults if any(token.lower() in names for token in fault.tokens)]


def rule_for(oracles: Oracles, names: frozenset[str]) -> OracleRule:
    """The rule of a token's feed: its own, or the scenario's for all."""
    for name, own in oracles.per_token.items():
        if name.lower() in names:
            return own
    return oracles
