"""What a protocol's governance sets, as data: each parameter's name, its place in a snapshot, its unit and its range.

A protocol declares them in its folder's ``parameters.py``, as ``PARAMETERS``. Whoever wants to know what another value
would do changes the snapshot's table and opens the market from it, so that the protocol's own rules say what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from chain.errors import InputError
from chain.snapshot import TOKENS, Snapshot
from chain.tables import Schema, Table

SUPPLY_CAP, BORROW_CAP = "supply_cap", "borrow_cap"
"""What every protocol calls the most of a reserve that may be supplied, and be owed."""

NO_LIMIT = Decimal("Infinity")
BPS, WAD, RAY = 10**4, 10**18, 10**27

Subject = Callable[[Snapshot, Table], list[str]]
"""What each row of a table is about, such as ``aave-v3/WETH``; empty for a row that does not have the parameter. Rows
about the same thing have one value."""


def of_market(snapshot: Snapshot, table: Table) -> list[str]:
    """A table with a row for each market."""
    return table.texts("market")


def of_token(snapshot: Snapshot, table: Table) -> list[str]:
    """A table with a row for each market and token."""
    called = symbols(snapshot)
    tokens = zip(table.texts("market"), table.texts("token"), strict=True)
    return [f"{market}/{called.get(token, token)}" for market, token in tokens]


def symbols(snapshot: Snapshot) -> dict[str, str]:
    """Symbol of each token's address."""
    tokens = snapshot.tables[TOKENS.name]
    return dict(zip(tokens.texts("token"), tokens.texts("symbol"), strict=True))


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name
        In the field's own words, without a unit: values are shares, whole tokens, or what the column says.
    table, column
        Where it lies in a snapshot.
    scale
        Raw units in 1, or the column that has them.
    most, least
        The range that the contract, or else sense, allows.
    laxer
        1 if a larger value lets borrowers do more, -1 if a smaller one does; 0 where it can be either.
    none
        The raw value that stands for no limit; None where there is always one.
    used
        The column with how much of it is used, where that does not follow from what is lent out and the market's cash.
    part
        For each row, the share of what is lent out and of the market's cash that counts under the cap, where not all
        does.
    subject
        What each row is about.
    constant
        The raw value that the contracts have for good, and markets where the snapshot has no such table
        (`protocols.lending.constants`); None for what governance sets.
    """

    name: str
    table: Schema
    column: str
    scale: int | str = BPS
    most: float = 1.0
    least: float = 0.0
    laxer: Literal[-1, 0, 1] = 0
    none: int | None = None
    used: str = ""
    part: Callable[[Snapshot, Table], list[float]] | None = None
    subject: Subject = of_token
    constant: int | None = None

    @property
    def meaning(self) -> str:
        """What the table says of it."""
        return self.table.column(self.column).meaning

    def scales(self, table: Table) -> list[int]:
        """Raw units in 1, for each row."""
        return table.ints(self.scale) if isinstance(self.scale, str) else [self.scale] * len(table)

    def value(self, raw: int, scale: int) -> Decimal:
        """The value of a raw one; infinite where that stands for no limit."""
        return NO_LIMIT if raw == self.none else Decimal(raw) / scale

    def raw(self, value: Decimal, scale: int) -> int:
        """The raw value of one; raises InputError if it is out of range or the contract cannot hold it exactly."""
        if value == NO_LIMIT and self.none is not None:
            return self.none
        if not Decimal(str(self.least)) <= value <= Decimal(str(self.most)):
            raise InputError(f"{self.name} is from {self.least:g} to {self.most:g}, not {value}")
        # Decimal would round a product of many digits
        raw = Fraction(value) * scale
        if raw.denominator != 1 or raw == self.none:
            raise InputError(f"{self.name} cannot be {value}: the contract holds it in whole units of 1/{scale}")
        return int(raw)
