"""When a price feed speaks: Chainlink's push model, feed by feed.

A feed watches the outside price. It takes an answer when the price has moved by its deviation since the last answer
it took, or when its heartbeat has run out; the answer reaches the protocol a delay later.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from simulator.scenario import OracleRule, Oracles


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
    """

    rule: OracleRule
    answered: float
    answered_at: float
    scale: float = 1.0
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
        moved = abs(outside / self.answered - 1.0) >= self.rule.deviation
        if moved or now - self.answered_at >= self.rule.heartbeat_s:
            self.answered, self.answered_at = outside, now
            self._under_way.append((now + self.rule.delay_s, outside * self.scale))
        published = None
        while self._under_way and self._under_way[0][0] <= now:
            published = self._under_way.popleft()[1]
        return published


def rule_for(oracles: Oracles, names: frozenset[str]) -> OracleRule:
    """The rule of a token's feed: its own, or the scenario's for all."""
    for name, rule in oracles.per_token.items():
        if name.lower() in names:
            return rule
    return oracles
