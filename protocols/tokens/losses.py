"""What a claim is worth after a loss of what stands behind it, by its contract's own arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.errors import InputError
from chain.snapshot import CLAIMS, Snapshot
from protocols.tokens.kind import proportional
from protocols.tokens.liquidity import balancer_share
from protocols.tokens.shares import assets_down

CONVERSIONS = (assets_down, proportional, balancer_share)
"""How contracts give a share of what there is: with virtual shares and one virtual asset, without, and Balancer's."""


@dataclass(frozen=True)
class Terms:
    """A row of the table ``claims``, with the units of its tokens.

    Attributes
    ----------
    losses, amount_raw, supply_raw, backing_raw
        As in the table.
    unit_raw, underlying_unit_raw
        Smallest units of one whole token, and of one whole underlying.
    """

    losses: str
    amount_raw: int
    supply_raw: int
    backing_raw: int
    unit_raw: int
    underlying_unit_raw: int


def rate_after_loss(terms: Terms, loss_raw: int, *, minted_raw: int = 0, sample_raw: int | None = None) -> int:
    """What some of a token is worth once backing is gone, or units came without any, smallest units of the underlying.

    Where losses reach holders at once, it is what the contract answers then: the first of :data:`CONVERSIONS` that
    gives today's answer gives the next; where none does (a rate that an oracle sets, interest still to come), the
    answer falls with what is left behind each unit, rounded down. Of a token whose balances are cut instead (stETH), it
    is the rate of what was one whole token before. Where losses wait for withdrawals, or never come, it is today's.

    Parameters
    ----------
    terms
        The claim.
    loss_raw
        Smallest units of the underlying; more than the backing is all of it.
    minted_raw
        Smallest units of the token that have come to be with nothing behind them.
    sample_raw
        Smallest units of the token whose worth `terms.amount_raw` is, and the result; one whole token if not given.

    Examples
    --------
    >>> rate_after_loss(Terms("at once", 1_100, 10**6, 1_100_000, 1_000, 1_000), 100_000)
    1000
    >>> rate_after_loss(Terms("at withdrawal", 1_000, 10**6, 10**6, 1_000, 1_000), 100_000)
    1000
    """
    sample = terms.unit_raw if sample_raw is None else sample_raw
    answer, supply, backing = terms.amount_raw, terms.supply_raw, terms.backing_raw
    if terms.losses != "at once" or not supply or not backing or (loss_raw <= 0 and minted_raw <= 0):
        return answer
    left, units = max(0, backing - loss_raw), supply + minted_raw
    # OpenZeppelin's vaults, and Morpho's, have as many more decimals than their asset as virtual shares have digits
    virtual = max(1, terms.unit_raw // terms.underlying_unit_raw)
    for convert in CONVERSIONS:
        if int(convert(sample, supply, backing, virtual)) == answer:
            return int(convert(sample, units, left, virtual))
    return answer * left * supply // (backing * units)


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
    columns = ("losses", "amount_raw", "supply_raw", "backing_raw")
    read = {name: row[name] for name in columns}
    return Terms(**read, unit_raw=units[row["token"]], underlying_unit_raw=units[row["underlying"]])
