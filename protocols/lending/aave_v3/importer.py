"""A snapshot from a table of positions, for users without a node.

One row a balance, CSV or Parquet, with these columns (amounts in whole tokens, shares as fractions):

======================= ======== =====================================================================
column                  needed   meaning
======================= ======== =====================================================================
account                 yes      any name, one an account
token                   yes      symbol
supplied                yes      supplied as collateral
debt                    yes      owed
price_usd               yes      oracle price of one token; the same in every row of the token
liquidation_threshold   yes      0.83 = liquidatable when debt exceeds 83 % of the collateral; 0: never collateral
liquidation_bonus       1.05     what a liquidator receives for 1 repaid
ltv                     as the threshold  the most that may be borrowed against it
decimals                18       of the token
======================= ======== =====================================================================

The market made of it follows the rules of Aave v3.6 with one category, no protocol fee, and rates of zero.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from chain.errors import InputError
from chain.snapshot import ORACLES, TOKENS, Market, Snapshot
from chain.tables import Schema, Table
from protocols.lending.aave_v3 import tables

VERSION = "3.6"
LISTED = 20
"""Bad rows that an error names; all are counted."""

_RAY = 10**27
_USD = 10**8
_REQUIRED = ("account", "token", "supplied", "debt", "price_usd", "liquidation_threshold")
_DEFAULTS = {"liquidation_bonus": "1.05", "ltv": "", "decimals": "18"}
_SURPLUS = "(surplus)"
_LARGEST = 2**128
_EXACT = Context(prec=100)
_ZERO = (
    "liquidity_rate_ray",
    "borrow_rate_ray",
    "treasury_accrued_scaled",
    "treasury_scaled",
    "deficit_raw",
    "isolated_debt",
    "reserve_factor_bps",
    "fee_bps",
    "debt_ceiling",
    "grace_until",
    "base_rate_ray",
    "slope1_ray",
    "slope2_ray",
    "supply_cap",
    "borrow_cap",
)


@dataclass(frozen=True)
class _Token:
    price_raw: int
    threshold_bps: int
    ltv_bps: int
    bonus_bps: int
    decimals: int


@dataclass(frozen=True)
class _Balance:
    row: int
    account: str
    token: str
    supplied_raw: int
    debt_raw: int
    parameters: _Token


def import_positions(path: Path, *, timestamp: int = 0, name: str = "import") -> Snapshot:
    """A snapshot from a file of the shape above.

    Parameters
    ----------
    path
        ``.csv`` or ``.parquet``.
    timestamp
        When the positions were so, unix seconds.
    name
        What to call the market.

    Raises
    ------
    InputError
        If the file cannot be read, or naming each bad row and what is wrong in it.
    """
    problems: list[str] = []
    balances = [b for number, row in _read(path) if (b := _balance(row, number, problems))]
    parameters: dict[str, tuple[int, _Token]] = {}
    seen: dict[tuple[str, str], int] = {}
    for balance in balances:
        first, known = parameters.setdefault(balance.token, (balance.row, balance.parameters))
        if known != balance.parameters:
            problems.append(f"row {balance.row}: {balance.token} has other parameters than in row {first}")
        at = seen.setdefault((balance.account, balance.token), balance.row)
        if at != balance.row:
            problems.append(f"row {balance.row}: {balance.account} has {balance.token} in row {at} already")
    if problems:
        more = f"\n… and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise InputError(f"{path}: {len(problems)} bad rows\n" + "\n".join(problems[:LISTED]) + more)
    return _snapshot(balances, {token: p for token, (_, p) in parameters.items()}, timestamp, name)


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows as text, each with its number in the file."""
    try:
        rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    except FileNotFoundError:
        raise InputError(f"{path} is not there") from None
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not rows:
        raise InputError(f"{path} has no rows")
    columns = [column for column in rows[0][1] if column != _SURPLUS]
    if missing := [column for column in _REQUIRED if column not in columns]:
        raise InputError(f"{path} has no column {', '.join(missing)}; it needs {', '.join(_REQUIRED)}")
    if unknown := [column for column in columns if column not in (*_REQUIRED, *_DEFAULTS)]:
        raise InputError(f"{path}: column {', '.join(unknown)} is not known")
    return [(number, _DEFAULTS | row) for number, row in rows]


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file, restkey=_SURPLUS, restval="")
        names = list(lines.fieldnames or [])
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"column {twice[0]} stands twice")
        return [(lines.line_num, {k: str(v).strip() for k, v in row.items()}) for row in lines if any(row.values())]


def _parquet_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False).to_pylist()
    return [
        (number, {str(k): "" if v is None else str(v).strip() for k, v in row.items()})
        for number, row in enumerate(rows, start=1)
    ]


def _balance(row: dict[str, str], number: int, problems: list[str]) -> _Balance | None:
    """The balance of a row, or None with what is wrong put to the problems."""
    wrong = ["it has more cells than the header"] if _SURPLUS in row else []

    def amount(column: str, accept: Callable[[Decimal], bool], wanted: str) -> Decimal:
        try:
            value = Decimal(row[column])
            if value.is_finite() and accept(value):
                return value
        except InvalidOperation:
            pass
        wrong.append(f"{column} is {row[column]!r}, should be {wanted}")
        return Decimal(0)

    wrong += [f"{column} is empty" for column in ("account", "token") if not row[column]]
    decimals = int(amount("decimals", lambda v: v == int(v) and 0 <= v <= 36, "a whole number from 0 to 36"))
    supplied = _raw(amount("supplied", lambda v: 0 <= _raw(v, decimals) < _LARGEST, "0 or more"), decimals)
    debt = _raw(amount("debt", lambda v: 0 <= _raw(v, decimals) < _LARGEST, "0 or more"), decimals)
    price = amount("price_usd", lambda v: 0 < v < 10**12, "more than 0")
    threshold = amount("liquidation_threshold", lambda v: 0 <= v < 1, "a share from 0 to below 1")
    bonus = amount("liquidation_bonus", lambda v: 1 <= v < 2, "1 or more, such as 1.05")
    ltv = threshold if not row["ltv"] else amount("ltv", lambda v: 0 <= v <= threshold, "0 to liquidation_threshold")
    if not wrong and not int(price * _USD):
        wrong.append(f"price_usd is {row['price_usd']}, below the smallest price of 1e-8")
    if wrong:
        problems.append(f"row {number}: " + "; ".join(wrong))
        return None
    parameters = _Token(
        round(price * _USD), round(threshold * 10_000), round(ltv * 10_000), round(bonus * 10_000), decimals
    )
    return _Balance(number, row["account"], row["token"], supplied, debt, parameters)


def _raw(amount: Decimal, decimals: int) -> int:
    """Whole tokens in smallest units, what is below one cut off; negative stays negative."""
    scaled = amount.scaleb(decimals, _EXACT)
    return int(scaled) if scaled >= 0 else -1


def _snapshot(balances: list[_Balance], tokens: dict[str, _Token], timestamp: int, market: str) -> Snapshot:
    in_debt = {balance.account for balance in balances if balance.debt_raw}
    positions = [
        {
            "market": market,
            "account": b.account,
            "token": b.token,
            "supplied_scaled": b.supplied_raw,
            "debt_scaled": b.debt_raw,
            "collateral": b.supplied_raw > 0 and b.parameters.threshold_bps > 0,
            "borrowing": b.debt_raw > 0,
        }
        for b in balances
        if b.account in in_debt
    ]
    total = {token: [0, 0] for token in tokens}
    for balance in balances:
        total[balance.token][0] += balance.supplied_raw
        total[balance.token][1] += balance.debt_raw
    reserves = [
        _reserve(market, number, token, tokens[token], total[token][0], total[token][1], timestamp)
        for number, token in enumerate(sorted(tokens))
    ]
    rows: dict[Schema, list[dict[str, Any]]] = {
        TOKENS: [{"token": t, "symbol": t, "decimals": tokens[t].decimals} for t in sorted(tokens)],
        ORACLES: [
            {
                "market": market,
                "token": token,
                "numeraire": "",
                "feed": "",
                "description": "imported",
                "price_raw": tokens[token].price_raw,
                "unit_raw": _USD,
                "published_at": timestamp,
            }
            for token in sorted(tokens)
        ],
        tables.RESERVES: reserves,
        tables.EMODES: [],
        tables.EMODE_RESERVES: [],
        tables.ACCOUNTS: [{"market": market, "account": a, "emode": 0} for a in sorted(in_debt)],
        tables.POSITIONS: sorted(positions, key=lambda row: (row["account"], row["token"])),
    }
    return Snapshot(
        chain_id=0,
        block_number=0,
        block_hash="",
        timestamp=timestamp,
        origin="import",
        notes=(f"Imported positions under the rules of Aave v{VERSION}, without interest and protocol fee.",),
        markets=(Market(market, tables.PROTOCOL, VERSION),),
        adapters={tables.PROTOCOL: tables.ADAPTER},
        tables={schema.name: Table.from_rows(schema, content) for schema, content in rows.items()},
    )


def _reserve(
    market: str, number: int, token: str, parameters: _Token, supplied: int, debt: int, timestamp: int
) -> dict[str, Any]:
    return dict.fromkeys(_ZERO, 0) | {
        "market": market,
        "token": token,
        "id": number,
        "a_token": "",
        "debt_token": "",
        "liquidity_index_ray": _RAY,
        "borrow_index_ray": _RAY,
        "last_update": timestamp,
        "supply_scaled": max(supplied, debt),
        "debt_scaled": debt,
        # what suppliers outside the file have in cash is not known: all that is supplied can be paid out
        "liquidity_raw": max(supplied, debt),
        "unit": 10**parameters.decimals,
        "price_raw": parameters.price_raw,
        "ltv_bps": parameters.ltv_bps,
        "threshold_bps": parameters.threshold_bps,
        "bonus_bps": parameters.bonus_bps,
        "active": True,
        "paused": False,
        "optimal_usage_ray": _RAY * 9 // 10,
        "frozen": False,
        "borrowing_enabled": True,
    }
