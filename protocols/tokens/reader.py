"""Finds out what tokens are claims on: asks each contract which known kind it is, and goes on to what it is owed.

All tokens of one depth are asked together, and beside them whatever else is being walked over. A token of no known
kind is a claim on nothing: it is worth what its price is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.calls import Call, CallFailed
from chain.snapshot import CLAIMS, TOKENS, Market
from chain.tables import Schema
from protocols.reading import Rows
from protocols.tokens.kind import Found, Kind, Looking, Token
from protocols.tokens.kinds import KINDS
from protocols.tokens.leaves import MINTED
from protocols.walking import Walk, together

ADAPTER = 2
"""Version of the table of claims, of the tables of vaults, and of the readers that fill them."""

DEPTH = 6
"""Claims from a token of the snapshot down to its deepest underlying; what lies deeper is not looked into."""

_DECIMALS, _SUPPLY = "decimals()(uint8)", "totalSupply()(uint256)"
_SYMBOL, _SYMBOL_WORD = "symbol()(string)", "symbol()(bytes32)"
_MOST_DECIMALS = 36
PROBES = tuple(
    dict.fromkeys([_DECIMALS, _SUPPLY, _SYMBOL, _SYMBOL_WORD, *(s for kind in KINDS for s in kind.getters.values())])
)
"""What every token is asked, to find out of which kind it is."""


@dataclass(frozen=True)
class _Known:
    """A token that was asked, and what came of it."""

    address: str
    decimals: int
    symbol: str
    kind: Kind | None
    found: Found | None
    supply_raw: int


def walk_claims(
    chain_id: int, tokens: Mapping[str, str], markets: Sequence[Market], native: str
) -> Walk[dict[Schema, Rows]]:
    """What the tokens of a snapshot are claims on, and what these are claims on in turn.

    Parameters
    ----------
    tokens
        Symbols of those that the snapshot has, by address: oracles price them.
    markets
        The lending markets of the snapshot.
    native
        Address of the token that wraps the chain's own currency; empty where none is known.

    Returns
    -------
    Rows of claims, of tokens that the snapshot did not have yet, and of the kinds' own tables. A token whose price
    does not follow from any that is known is left out with all claims on it.
    """
    issuers = issuers_of(markets)
    known: dict[str, _Known] = {}
    level = sorted(tokens)
    for depth in range(DEPTH + 1):
        if not level:
            break
        answers = iter((yield [Call(address, signature) for address in level for signature in PROBES]))
        told = {a: {s: answer for s in PROBES if not isinstance(answer := next(answers), CallFailed)} for a in level}
        there = [a for a in level if told[a].get(_DECIMALS, _MOST_DECIMALS + 1) <= _MOST_DECIMALS]
        looks = [_look(chain_id, a, told[a], issuers, native) for a in (there if depth < DEPTH else ())]
        found = (yield from together(looks)) if looks else [(None, None)] * len(there)
        for address, (kind, what) in zip(there, found, strict=True):
            supply = told[address].get(_SUPPLY, 0)
            known[address] = _Known(address, told[address][_DECIMALS], _symbol(told[address]), kind, what, supply)
        owed = {claim.underlying: None for _, what in found if what for claim in what.claims}
        level = [address for address in owed if address and address not in known and address not in tokens]
    return _rows(tokens, _reached(known, tokens), known)


def unread(rows: Mapping[Schema, Rows], symbols: Mapping[str, str]) -> list[str]:
    """What a reader of any result must know of the claims: the tokens minted against collateral that is not read."""
    names = {**symbols, **{row["token"]: row["symbol"] for row in rows[TOKENS]}}
    leaves = (row for row in rows[CLAIMS] if row["kind"] == MINTED and row["issuer"] == row["token"])
    named = sorted(names[row["token"]] for row in leaves)
    if not named:
        return []
    return [f"what {', '.join(named)} is minted against is not read: claims on it end there, and no loss comes from it"]


def issuers_of(markets: Sequence[Market]) -> dict[str, str]:
    """Names of markets by the contracts (and ids) that are theirs alone."""
    names: dict[str, list[str]] = {}
    for market in markets:
        for contract in market.addresses.values():
            names.setdefault(contract.lower(), []).append(market.name)
    return {contract: own[0] for contract, own in names.items() if len(own) == 1}


def _look(
    chain_id: int, address: str, told: Mapping[str, Any], issuers: Mapping[str, str], native: str
) -> Walk[tuple[Kind | None, Found | None]]:
    """The first kind that a token is of, and what it is a claim on."""
    for kind in KINDS:
        if kind.at is not None and address not in kind.at.get(chain_id, ()):
            continue
        if all(signature in told for signature in (*kind.getters.values(), _SUPPLY)):
            values = {name: told[signature] for name, signature in kind.getters.items()}
            token = Token(address, 10 ** told[_DECIMALS], told[_SUPPLY], values, native, issuers)
            looking: Looking = kind.look(token)
            found = yield from looking
            if found is not None and all(claim.underlying != address for claim in found.claims) and _fits(found):
                return kind, found
    return None, None


def _fits(found: Found) -> bool:
    """Whether a snapshot can hold what was told: tokens are anybody's to make, and may tell anything."""
    most = {"uint256": 1 << 256, "int64": 1 << 63}
    told = [(amount, "uint256") for claim in found.claims for amount in (claim.amount_raw, claim.backing_raw)]
    told += [(claim.due_at, "int64") for claim in found.claims]
    for schema, rows in found.rows.items():
        told += [(row[c.name], c.kind) for row in rows for c in schema.columns if c.kind in most]
    return all(value < most[kind] for value, kind in told)


def _symbol(told: Mapping[str, Any]) -> str:
    """What a token calls itself, early ones in 32 bytes."""
    word = told.get(_SYMBOL_WORD, b"").rstrip(b"\0").decode("utf-8", "replace")
    return str(told.get(_SYMBOL) or word)


def _reached(known: Mapping[str, _Known], tokens: Mapping[str, str]) -> dict[str, _Known]:
    """The claims that the snapshot's tokens lead to, without those on a token that nothing tells the price of: no
    oracle, not what it is itself a claim on, and no token that is a claim on it alone, at a rate."""
    claims = {a: [claim.underlying for claim in k.found.claims] for a, k in known.items() if k.found}
    alone = {
        a: k.found.claims[0].underlying
        for a, k in known.items()
        if k.found and len(k.found.claims) == 1 and k.found.claims[0].amount_raw
    }
    worth, more = set[str](), set(tokens)
    while more - worth:
        worth |= more
        more = {a for a, owed in claims.items() if all(owed) and worth.issuperset(owed)}
        more |= {owed for a, owed in alone.items() if a in worth and owed in known}
    kept = {a for a, owed in claims.items() if worth.issuperset(u for u in owed if u)}
    reached, level = set[str](), kept & tokens.keys()
    while level:
        reached |= level
        level = {u for a in level for u in claims[a]} & kept - reached
    return {a: known[a] for a in reached}


def _rows(tokens: Mapping[str, str], kept: Mapping[str, _Known], known: Mapping[str, _Known]) -> dict[Schema, Rows]:
    rows: dict[Schema, Rows] = {CLAIMS: [], TOKENS: []}
    new: dict[str, None] = {}
    for address, each in sorted(kept.items()):
        assert each.kind is not None
        assert each.found is not None
        supply = each.supply_raw if each.found.supply_raw is None else each.found.supply_raw
        for claim in each.found.claims:
            if claim.underlying and claim.underlying not in tokens:
                new[claim.underlying] = None
            rows[CLAIMS].append(
                {
                    "token": address,
                    "underlying": claim.underlying,
                    "kind": each.kind.name,
                    "issuer": each.found.issuer,
                    "amount_raw": claim.amount_raw,
                    "supply_raw": supply,
                    "backing_raw": claim.backing_raw,
                    "losses": each.kind.losses,
                    "due_at": claim.due_at,
                }
            )
        for schema, more in each.found.rows.items():
            rows.setdefault(schema, []).extend(more)
    symbols = [*tokens.values(), *(known[address].symbol for address in new)]
    for address in sorted(new):
        symbol = known[address].symbol
        named = symbol if symbol and symbols.count(symbol) == 1 else address
        rows[TOKENS].append({"token": address, "symbol": named, "decimals": known[address].decimals})
    return rows
