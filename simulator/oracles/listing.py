"""Each price feed of a snapshot: how it is made, how old it is, what holds it, and how far it is from the market."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocols.oracles.chainlink import is_auctioned
from protocols.oracles.kind import Part
from protocols.oracles.kinds import BY_NAME
from simulator.book import Book
from simulator.oracles.pricing import Watched, follows


def feeds(book: Book, published_at: list[list[int]]) -> list[dict[str, Any]]:
    """Every feed of every market, as JSON values.

    Parameters
    ----------
    book
        Of a snapshot, nothing stepped.
    published_at
        For each market, when each reserve's feed last answered, unix seconds; 0 where unknown.

    Returns
    -------
    Prices are of one whole token. `market_usd` is the marginal price in the token's deepest pool, and `gap` by what
    share the oracle is above it; both None without a pool. `age_s` is None where the feed does not say. `tree` holds
    the parts, each with its `children`; None where the feed was not looked into.
    """
    pools = pool_prices(book)
    rows = []
    for number, (market, tokens) in enumerate(zip(book.markets, book.market_tokens, strict=True)):
        oracle_usd = book.oracle_usd(number)
        quote = "USD" if market.numeraire is None else book.tokens[int(tokens[market.numeraire])].symbol
        for reserve, row in enumerate(tokens):
            if reserve == market.numeraire:
                continue
            token = book.tokens[int(row)]
            tree, seen_at = book.trees.get((market.name, token.address)), published_at[number][reserve]
            price = market.price_raw(reserve) / market.price_unit(reserve)
            pool, oracle = pools.get(int(row)), float(oracle_usd[reserve])
            rows.append(
                {
                    "market": market.name,
                    "token": token.symbol,
                    "address": token.address,
                    "price": price,
                    "quote": quote,
                    "price_usd": oracle,
                    "market_usd": pool,
                    "gap": None if pool is None else oracle / pool - 1.0,
                    "age_s": book.timestamp - seen_at if seen_at else _age(tree, book.timestamp),
                    "tree": None if tree is None else _part(book, follows(book, number, reserve, tree), "", tree),
                }
            )
    return rows


def pool_prices(book: Book) -> dict[int, float]:
    """What one whole token fetches in its deepest pool, US dollars: a small sale, the other token at its oracle's
    price; by row of the book's tokens."""
    deepest: dict[int, tuple[float, float]] = {}
    for venue in book.venues:
        sides = [book.token_row[address] for address in venue.tokens]
        depth_usd = [book.usd(token, amount) for token, amount in zip(sides, venue.reserves_raw(), strict=True)]
        for here, token in enumerate(sides):
            there = max((n for n in range(len(sides)) if n != here), key=depth_usd.__getitem__)
            price = venue.price(here, there) * book.unit[token] / book.unit[sides[there]]
            if price > 0.0 and depth_usd[there] > deepest.get(token, (0.0, 0.0))[0]:
                deepest[token] = depth_usd[there], float(price * book.outside_usd[sides[there]])
    return {token: price for token, (_, price) in deepest.items()}


def lines(part: dict[str, Any]) -> Iterator[str]:
    """What there is to say of one part, a line a subject."""
    named = f"{part['role']}: " if part["role"] else ""
    text = f" {part['description']!r}" if part["description"] else ""
    yield f"{named}{part['kind']}{text} = {part['answer']:.10g}  {part['contract']}"
    if part["watches"]:
        yield f"watches {part['watches']}"
    if part["age_s"] is not None:
        yield f"answered {part['age_s']:,} s before the block"
    if part["deviation"] is not None:
        yield f"speaks on a move of {part['deviation']:.2%}, at the latest after {part['heartbeat_s']:,} s"
    for bound, side in (("low", "below"), ("high", "above")):
        if part[bound] is not None:
            yield f"silent {side} {part[bound]:.6g} ({part[bound + '_away']:+.1%} away)"
    if part["headroom"] is not None:
        yield f"cap: {part['headroom']:+.2%} away" + (", it binds" if part["headroom"] < 0.0 else "")
    if part["parameters"]:
        yield ", ".join(f"{name} {value}" for name, value in part["parameters"].items())
    yield f"can fail: {part['fails']}"


def _age(tree: Part | None, now: int) -> int | None:
    """Since the oldest of the answers in a tree."""
    times = [part.published_at for part in tree.walk() if part.published_at] if tree is not None else []
    return now - min(times) if times else None


def _part(book: Book, followed: Mapping[int, Watched | None], role: str, part: Part) -> dict[str, Any]:
    kind = BY_NAME[part.kind]
    numbers = dict(part.parameters)
    ppm, heartbeat = numbers.pop("deviation_ppm", None), numbers.pop("heartbeat_s", None)
    answer = part.answer_raw / part.unit
    bounds: dict[str, float | None] = {}
    for name in ("low", "high"):
        raw = numbers.pop(f"{name}_raw", None)
        bounds[name] = None if raw is None else int(raw) / part.unit
        bounds[f"{name}_away"] = None if raw is None else int(raw) / part.answer_raw - 1.0
    return {
        "role": role,
        "kind": part.kind,
        "how": kind.how,
        "fails": kind.fails,
        "contract": part.contract,
        "description": part.description,
        "answer": answer,
        "answer_raw": str(part.answer_raw),
        "watches": _words(book, followed[id(part)]) if kind.watching else "",
        "age_s": book.timestamp - part.published_at if part.published_at else None,
        "deviation": None if ppm is None else int(ppm) / 1e6,
        "heartbeat_s": heartbeat,
        **bounds,
        "headroom": None if kind.headroom is None else kind.headroom(part, book.timestamp),
        "auctioned": is_auctioned(part.parameters),
        "parameters": numbers,
        "children": [_part(book, followed, name, child) for name, child in part.children.items()],
    }


def _words(book: Book, of: Watched | None) -> str:
    if of is None:
        return "nothing: what it quotes is no token of the snapshot, and another source follows the market"
    base = book.tokens[of.base].symbol
    quote = "USD" if of.quote is None else book.tokens[of.quote].symbol
    return f"{base} in {quote}" + (", as what it quotes is no token of the snapshot" if of.own else "")
