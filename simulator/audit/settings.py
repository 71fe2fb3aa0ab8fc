"""The parameters of a snapshot by name, their values now, and the snapshot with other values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from chain.errors import InputError
from chain.snapshot import Snapshot
from chain.tables import Kind, Table
from protocols import registry
from protocols.lending.constants import tables_of_constants
from protocols.lending.parameters import NO_LIMIT, Parameter
from simulator.options import mapping

Values = str | float | Decimal | Iterable[float | Decimal]
"""Of one parameter, as people write them."""

_SHOWN = 12
"""Names that an error lists."""
_MOST_VALUES = 10_000
"""Of one parameter: a step far too small is a mistake."""


@dataclass(frozen=True)
class Setting:
    """One parameter of one thing.

    Attributes
    ----------
    key
        Such as ``aave-v3/WETH.liquidation_threshold``.
    protocol
        Its folder; empty for what is in no snapshot (`simulator.audit.feeds`).
    parameter
        What it is.
    rows
        Of the parameter's table: all have this value.
    scale
        Raw units in 1.
    raw
        What the snapshot has.
    """

    key: str
    protocol: str
    parameter: Parameter
    rows: tuple[int, ...]
    scale: int
    raw: int

    @property
    def value(self) -> Decimal:
        """What the snapshot has, in the parameter's unit; infinite for no limit."""
        return self.parameter.value(self.raw, self.scale)

    def raw_of(self, value: Decimal) -> int:
        """The raw form of another value; raises InputError, naming the key, if the contract cannot have it."""
        try:
            return self.parameter.raw(value, self.scale)
        except InputError as error:
            raise InputError(f"{self.key}: {error}") from None


def settings(snapshot: Snapshot) -> dict[str, Setting]:
    """Every parameter of a snapshot's lending markets, by key.

    Raises
    ------
    InputError
        If rows that are about the same thing have different values.
    """
    found: dict[str, Setting] = {}
    tables = _tables(snapshot)
    for protocol in _protocols(snapshot):
        for parameter in registry.parameters(protocol):
            if parameter.table.name in tables:
                table = tables[parameter.table.name]
                found |= {setting.key: setting for setting in _of(snapshot, protocol, parameter, table)}
    return found


def _protocols(snapshot: Snapshot) -> Iterable[str]:
    return dict.fromkeys(market.protocol for market in snapshot.markets)


def _tables(snapshot: Snapshot) -> dict[str, Table]:
    """The snapshot's, and those of constants that it leaves out."""
    tables = dict(snapshot.tables)
    for protocol in _protocols(snapshot):
        tables |= tables_of_constants(snapshot, protocol, registry.parameters(protocol))
    return tables


def _of(snapshot: Snapshot, protocol: str, parameter: Parameter, table: Table) -> Iterator[Setting]:
    rows: dict[str, list[int]] = {}
    for row, subject in enumerate(parameter.subject(snapshot, table)):
        if subject:
            rows.setdefault(subject, []).append(row)
    raws, scales = table.ints(parameter.column), parameter.scales(table)
    for subject, places in rows.items():
        if len({raws[row] for row in places}) > 1:
            raise InputError(f"table {table.schema.name}: {parameter.column} of {subject} differs from row to row")
        first = places[0]
        yield Setting(f"{subject}.{parameter.name}", protocol, parameter, tuple(places), scales[first], raws[first])


def find(known: Mapping[str, Setting], key: str) -> Setting:
    """The setting of a key, upper and lower case being the same; raises InputError that lists what there is."""
    lower = {name.lower(): setting for name, setting in known.items()}
    if (found := lower.get(key.lower())) is not None:
        return found
    near = difflib.get_close_matches(key.lower(), lower, n=_SHOWN, cutoff=0.5)
    listed = [lower[name].key for name in near] or list(known)[:_SHOWN]
    rest = f", and {len(known) - len(listed):,} more (--list shows all)" if len(known) > len(listed) else ""
    raise InputError(f"the snapshot has no parameter {key}; there are {', '.join(listed) or 'none'}{rest}")


def split(texts: Sequence[str]) -> dict[str, str]:
    """What ``--set KEY=VALUES`` options ask for, by key; raises InputError as `simulator.options.mapping` does."""
    # a market's or token's name, and so a key, may have an equals sign; values have none
    return mapping("--set", texts, "KEY=LO:HI:STEP, KEY=VALUE or KEY=VALUE,VALUE", str.rpartition)


def chosen(known: Mapping[str, Setting], wanted: Mapping[str, Values]) -> dict[str, tuple[int, ...]]:
    """Raw values of each key.

    Parameters
    ----------
    known
        What there is.
    wanted
        By key: ``LO:HI:STEP`` with both ends, ``A,B,…`` or ``A``, where ``none`` is no limit; or numbers.

    Raises
    ------
    InputError
        If a text is none of these, a key is unknown or given twice, or the contract cannot have a value.
    """
    found: dict[str, tuple[int, ...]] = {}
    for key, values in wanted.items():
        setting = find(known, key)
        if setting.key in found:
            raise InputError(f"{setting.key} has been given already")
        numbers = _numbers(f"{key}={values}", values)
        found[setting.key] = tuple(dict.fromkeys(setting.raw_of(number) for number in numbers))
    return found


def _numbers(text: str, values: Values) -> list[Decimal]:
    if isinstance(values, str):
        return _values(text, values)
    listed = [values] if isinstance(values, int | float | Decimal) else values
    return [_number(text, str(number)) for number in listed]


def _values(text: str, values: str) -> list[Decimal]:
    if ":" not in values:
        return [_number(text, value) for value in values.split(",")]
    parts = [_number(text, part) for part in values.split(":")]
    if len(parts) != 3 or NO_LIMIT in parts or parts[2] <= 0 or parts[1] < parts[0]:
        raise InputError(f"{text}: a range is LO:HI:STEP, with LO not above HI and STEP above 0")
    low, high, step = parts
    count = int((high - low) / step) + 1
    if count > _MOST_VALUES:
        raise InputError(f"{text}: these are {count:,} values; take a larger step")
    return [low + number * step for number in range(count)]


def _number(text: str, value: str) -> Decimal:
    if value.strip() in ("none", "inf"):
        return NO_LIMIT
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InputError(f"{text}: {value.strip() or 'nothing'} is no number")
    return number


def changed(snapshot: Snapshot, known: Mapping[str, Setting], raws: Mapping[str, int]) -> Snapshot:
    """The snapshot with other raw values, which is then of origin ``changed``; every table that does not change is the
    same object."""
    if not raws:
        return snapshot
    tables, there = dict(snapshot.tables), _tables(snapshot)
    for key, raw in raws.items():
        setting = known[key]
        name, column = setting.parameter.table.name, setting.parameter.column
        tables[name] = _with(tables.get(name, there[name]), column, setting.rows, raw)
    return replace(snapshot, origin="changed", tables=tables)


def _with(table: Table, column: str, rows: Sequence[int], raw: int) -> Table:
    import pyarrow as pa

    place = table.data.column_names.index(column)
    values: list[Any] = table.data.column(place).to_pylist()
    for row in rows:
        values[row] = _stored(table.schema.column(column).kind, raw)
    field = table.data.schema.field(place)
    return Table(table.schema, table.data.set_column(place, field, pa.array(values, field.type)))


def _stored(kind: Kind, raw: int) -> Any:
    return raw if kind == "int64" else raw.to_bytes(32, "big", signed=kind == "int256")
