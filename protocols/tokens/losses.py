"""What a claim is worth after a loss of what stands behind it, by the rule of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.errors import InputError
from chain.snapshot import CLAIMS, Snapshot
from protocols.tokens.kinds import KINDS


@dataclass(frozen=True)
class Terms:
    """A row of the table ``claims``, with the units of its tokens.

    Attributes
    ----------
    kind, losses, amount_raw, supply_raw, backing_raw
        As in the table.
    unit_raw, underlying_unit_raw
        Smallest units of one whole token, and of one whole underlying.
    """

    kind: str
    losses: str
    amount_raw: int
    supply_raw: int
    backing_raw: int
    unit_raw: int
    underlying_unit_raw: int


def rate_after_loss(terms: Terms, loss_raw: int) -> int:
    """What one whole token is worth once some of its backing is gone, smallest units of the underlying.

    Where losses reach holders at once, it is what the contract answers then: the first of the kind's rules that gives
    today's rate gives the next; where none does (a rate that an oracle sets, interest still to come), the rate falls by
    the share of the backing that is gone. Of a token whose balances are cut instead (stETH), it is the rate of what was
    one whole token before. Where losses wait for withdrawals, or never come, the rate is today's.

    Parameters
    ----------
    terms
        The claim.
    loss_raw
        Smallest units of the underlying; more than the backing is all of it.

    Examples
    --------
    >>> rate_after_loss(Terms("erc4626", "at once", 1_100, 10**6, 1_100_000, 1_000, 1_000), 100_000)
    1000
    >>> rate_after_loss(Terms("aave", "at withdrawal", 1_000, 10**6, 10**6, 1_000, 1_000), 100_000)
    1000
    """
    if terms.losses != "at once" or not terms.supply_raw or not terms.backing_raw:
        return terms.amount_raw
    left = max(0, terms.backing_raw - loss_raw)
    virtual = max(1, terms.unit_raw // terms.underlying_unit_raw)
    for rule in (rule for kind in KINDS if kind.name == terms.kind for rule in kind.rules):
        if int(rule(terms.unit_raw, terms.supply_raw, terms.backing_raw, virtual)) == terms.amount_raw:
            return int(rule(terms.unit_raw, terms.supply_raw, left, virtual))
    return terms.amount_raw * left // terms.backing_raw


def load(snapshot: Snapshot) -> dict[tuple[str, str], Terms]:
    """The claims of a snapshot on what lies on the chain, by token and underlying; none where it has no such table.

    Raises
    ------
    InputError
        If a claim is about a token that the snapshot does not have.
    """
    if CLAIMS.name not in snapshot.tables:
        return {}
    tokens = snapshot.tables["tokens"]
    units = {a: 10**n for a, n in zip(tokens.texts("token"), tokens.ints("decimals"), strict=True)}
    rows = (row for row in snapshot.tables[CLAIMS.name].rows() if row["underlying"])
    return {(row["token"], row["underlying"]): _terms(row, units) for row in rows}


def _terms(row: Mapping[str, Any], units: Mapping[str, int]) -> Terms:
    for address in (row["token"], row["underlying"]):
        if address not in units:
            raise InputError(f"table {CLAIMS.name}: {address} is not in table tokens; read it with its claim")
    columns = ("kind", "losses", "amount_raw", "supply_raw", "backing_raw")
    read = {name: row[name] for name in columns}
    return Terms(**read, unit_raw=units[row["token"]], underlying_unit_raw=units[row["underlying"]])
