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
    answered_usd
        Outside price at the last answer taken.
    answered_at
        When it was taken, unix seconds.
    scale
        What the feed says over the outside price at the start, so that a feed that differed goes on differing.
    """

    rule: OracleRule
    answered_usd: float
    answered_at: float
    scale: float = 1.0
    _under_way: deque[tuple[float, float]] = field(default_factory=deque)

    def watch(self, now: float, outside_usd: float) -> float | None:
        """What is published at time `now` (the newest answer that has become due), or None.

        Parameters
        ----------
        now
            Unix seconds; must not decrease from call to call.
        outside_usd
            Outside price of one whole token.
        """
        moved = abs(outside_usd / self.answered_usd - 1.0) >= self.rule.deviation
        if moved or now - self.answered_at >= self.rule.heartbeat_s:
            self.answered_usd, self.answered_at = outside_usd, now
            self._under_way.append((now + self.rule.delay_s, outside_usd * self.scale))
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
