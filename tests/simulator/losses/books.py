"""Books of claims made by hand: Morpho markets whose lenders' money others hold claims on.

The supply of a market that no token stands for goes by the market's name, one unit for each unit of the token lent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chain.snapshot import CLAIMS, TOKENS, Snapshot
from chain.tables import Table
from simulator.scenario import Scenario
from tests.simulator.books import Played, make_scenario, play
from tests.simulator.graph.toys import Coin, Loans, Toy, snapshot_of

UNIT = 10**18
LIF = 10**36 // (10**18 - 3 * 10**17 * (10**18 - 86 * 10**16) // 10**18) / 10**18
"""Morpho's liquidation incentive at an LLTV of 86 %."""

FRICTIONLESS: dict[str, Any] = {"gas_usd": 0.0, "flash_fee": 0.0, "sell": "outside"}


@dataclass(frozen=True)
class Held:
    """A claim: whole underlying behind it and owed for all of it, how many units there are, and who owes it."""

    token: str
    underlying: str
    backing: float
    issuer: str
    losses: str = "at once"
    supply: float | None = None
    """The backing if None: one unit is owed one."""


COL, USD, VAULT = Coin("COL", 1.0), Coin("USD", 1.0), Coin("VAULT", 1.0)
FIRST = Loans("first", "COL", "USD", {"a": (1000.0, 800.0)}, supplied=200.0)
SECOND = Loans("second", "VAULT", "USD", {"b": (100.0, 80.0)}, supplied=20.0)
LOST = 800.0 - 500.0 / LIF
"""What FIRST writes off when COL halves: all of its collateral is taken, at the incentive."""


def with_held(snapshot: Snapshot, held: Sequence[Held], positions: Sequence[str] = ()) -> Snapshot:
    """A snapshot with these claims; `positions` are supplies of markets that become tokens under the markets' names."""
    tokens = snapshot.tables[TOKENS.name].rows()
    tokens += [{"token": name, "symbol": f"supply of {name}", "decimals": 18} for name in positions]
    place = {row["symbol"]: row["token"] for row in tokens} | {name: name for name in positions} | {"": ""}
    rows = [
        {
            "token": place[each.token],
            "underlying": place[each.underlying],
            "kind": "by hand",
            "issuer": place.get(each.issuer, each.issuer),
            "amount_raw": round(each.backing / (each.supply or _units(held, each.token)) * UNIT),
            "supply_raw": round((each.supply or _units(held, each.token)) * UNIT),
            "backing_raw": round(each.backing * UNIT),
            "losses": each.losses,
            "due_at": 0,
        }
        for each in held
    ]
    tables = {TOKENS.name: Table.from_rows(TOKENS, tokens), CLAIMS.name: Table.from_rows(CLAIMS, rows)}
    return replace(snapshot, tables=dict(snapshot.tables) | tables)


def _units(held: Sequence[Held], token: str) -> float:
    return sum(each.backing for each in held if each.token == token)


def chain(losses: str = "at once") -> Snapshot:
    """Lenders of `first`, a vault with four fifths of its money there and the rest idle, and `second`, which lends
    against the vault's shares and whose own supply somebody else's vault holds."""
    held = [
        Held("first", "USD", 1000.0, "first"),
        Held("VAULT", "first", 400.0, "the vault", losses),
        Held("VAULT", "USD", 100.0, "the vault", losses),
        Held("second", "USD", 100.0, "second"),
    ]
    toy = Toy((COL, USD, VAULT), loans=(FIRST, SECOND))
    return with_held(snapshot_of(toy), held, ("first", "second"))


def run(snapshot: Snapshot, moves: Mapping[str, float] | None = None, steps: int = 4, **content: Any) -> Played:
    """What comes of a book when prices move by factors in the first step."""
    return play(snapshot, scenario(moves, steps, **content))


def scenario(moves: Mapping[str, float] | None = None, steps: int = 4, **content: Any) -> Scenario:
    return make_scenario(moves, steps=steps, liquidators=FRICTIONLESS, **content)


def address(symbol: str) -> str:
    return Coin(symbol).address


def mark(played: Played, token: str, step: int, which: str = "greatest") -> float:
    """The mark of a token in a step; 1 where none is written down."""
    rows = [row[which] for row in played.record.marks if (row["token"], row["step"]) == (token, step)]
    return float(rows[0]) if rows else 1.0


def without_tables(snapshot: Snapshot, *names: str) -> Snapshot:
    return replace(snapshot, tables={n: t for n, t in snapshot.tables.items() if n not in names})
