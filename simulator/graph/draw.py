"""Draws nodes and edges from what a snapshot's accounts hold, what tokens are claims on, and what pools hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from chain.snapshot import CLAIMS, ESCROWS, ORACLES, Snapshot
from simulator.book import Book
from simulator.graph.arrays import FloatArray, IntArray
from simulator.graph.claims import OFF_CHAIN, Claims
from simulator.graph.edges import Drawing, Edges
from simulator.graph.holdings import Holdings, Pools, Reserves
from simulator.graph.nodes import Nodes
from simulator.graph.placements import NONE, Placements


@dataclass
class Draughtsman:
    """Draws the graph of a book that was opened on a snapshot."""

    snapshot: Snapshot
    book: Book
    claims: Claims
    reserves: Reserves
    holdings: Holdings
    pools: Pools
    placements: Placements

    def draw(self, accounts: Literal["each", "pattern"]) -> tuple[Nodes, Edges]:
        """All nodes, and all edges between them."""
        self.nodes, self.drawing = Nodes(), Drawing(self.book.outside_usd)
        self._symbols = [token.symbol for token in self.book.tokens]
        self._draw_tokens()
        self._draw_markets()
        self._draw_pools()
        self._draw_issuers()
        self._draw_escrows()
        self._draw_placements()
        self._draw_accounts(accounts)
        self._draw_quotes()
        return self.nodes, self.drawing.edges()

    # --- nodes, each with the edges that go out from it ------------------------------------------------------------

    def _draw_tokens(self) -> None:
        tokens = self.book.tokens
        self.nodes.add("token", (token.address for token in tokens), self._symbols, [""] * len(tokens))
        claims = self.claims
        for token, due_at in zip(claims.token.tolist(), claims.due_at.tolist(), strict=True):
            if due_at:
                self.nodes.due_at[token] = min(due_at, self.nodes.due_at.get(token, due_at))
        row = np.arange(len(claims.token))
        here = np.flatnonzero(claims.underlying != OFF_CHAIN)
        owed = claims.supply[here] * claims.rate[here]
        underlying = claims.underlying[here]
        self._add("wraps", claims.token[here], underlying, underlying, owed, CLAIMS.name, row[here])

    def _draw_markets(self) -> None:
        reserves, markets = self.reserves, self.book.markets
        names = [market.name for market in markets]
        self._market = self.nodes.add("market", names, names, names)
        size = len(reserves.token)
        of = [names[int(market)] for market in reserves.market]
        addresses = [self.book.tokens[int(token)].address for token in reserves.token]
        self._reserve = self.nodes.add(
            "reserve",
            (f"{market}/{address}" for market, address in zip(of, addresses, strict=True)),
            (f"{market}/{self._symbols[int(token)]}" for market, token in zip(of, reserves.token, strict=True)),
            of,
        )
        self._reserve_of = {key: self._reserve + row for row, key in enumerate(zip(of, addresses, strict=True))}
        node, sources = self._reserve + np.arange(size), reserves.sources
        inside = np.where(reserves.cash + reserves.loans > 0, reserves.cash, reserves.held)
        self.drawing.add("backs", node, reserves.token, reserves.token, inside, *sources)
        self.drawing.add("backs", self._market + reserves.market, node, reserves.token, reserves.held, *sources)

    def _draw_pools(self) -> None:
        pools = self.pools
        labels = [
            "/".join(self._symbols[int(token)] for token in pools.token[pools.pool == number]) + f" {protocol}"
            for number, protocol in enumerate(pools.protocols)
        ]
        self._pool = self.nodes.add("pool", pools.names, labels, pools.protocols)
        sources = self._pool_rows()
        self.drawing.add(
            "provides-liquidity", self._pool + pools.pool, pools.token, pools.token, pools.amount, *sources
        )

    def _pool_rows(self) -> tuple[tuple[str, ...], IntArray, IntArray]:
        """Where each pool's balances came from: the row of its protocol's first table that has it, or its rows of the
        table that says which of its tokens they are about."""
        pools = self.pools
        tables: list[str] = []
        where: dict[tuple[str, str], tuple[int, int]] = {}
        for name in sorted(self.snapshot.tables):
            schema = self.snapshot.tables[name].schema
            if name.partition(".")[0] in pools.protocols and schema.key in (("pool",), ("pool", "token")):
                tables.append(name)
                columns = [self.snapshot.tables[name].texts(key) for key in schema.key]
                for row, key in enumerate(zip(*columns, strict=True)):
                    where[(key[0], key[1] if len(key) > 1 else "")] = len(tables) - 1, row
        found = []
        for pool, token in zip(pools.pool, pools.token, strict=True):
            name = pools.names[int(pool)]
            own = where.get((name, self.book.tokens[int(token)].address))
            found.append(own or where.get((name, ""), (-1, -1)))
        array = np.array(found, dtype=np.int64).reshape(-1, 2)
        return tuple(tables), array[:, 0], array[:, 1]

    def _draw_issuers(self) -> None:
        claims = self.claims
        pools = {name: self._pool + number for number, name in enumerate(self.pools.names)}
        markets = {market.name: self._market + number for number, market in enumerate(self.book.markets)}
        strangers = dict.fromkeys(name for name in claims.issuer if name not in markets and name not in pools)
        feeds = dict.fromkeys(feed for feed in self.snapshot.tables[ORACLES.name].texts("feed") if feed)
        bridges = self._bridges()
        names = list(dict.fromkeys([*strangers, *feeds, *bridges]))
        kinds: dict[str, str] = dict(zip(claims.issuer, claims.kind, strict=True))
        of: dict[str, list[str]] = {}
        for issuer, token in zip(claims.issuer, claims.token, strict=True):
            symbols = of.setdefault(issuer, [])
            if self._symbols[int(token)] not in symbols:
                symbols.append(self._symbols[int(token)])
        plain = {name: f"feed {_short(name)}" for name in feeds} | bridges
        labels = [f"issuer of {', '.join(of[name])}" if name in of else plain[name] for name in names]
        first = self.nodes.add("issuer", names, labels, (kinds.get(name, "") for name in names))
        self._issuer = {name: first + row for row, name in enumerate(names)}

        target, amount, token = [], [], []
        for row, issuer in enumerate(claims.issuer):
            underlying = int(claims.underlying[row])
            # what a market mints out of nothing (GHO) it lends itself: its borrowers' collateral stands behind it
            at = underlying if underlying != OFF_CHAIN else int(claims.token[row])
            reserve = self._reserve_of.get((issuer, self.book.tokens[at].address))
            target.append(reserve if reserve is not None else {**self._issuer, **markets, **pools}[issuer])
            # what lies off the chain cannot be counted in its own units: what is owed stands for it
            token.append(at)
            amount.append(float(claims.backing[row] if underlying != OFF_CHAIN else claims.supply[row]))
        columns = np.array(target, dtype=np.int64), np.array(token, dtype=np.int64), np.array(amount)
        self._add("backs", claims.token, *columns, CLAIMS.name, np.arange(len(target)))

    def _bridges(self) -> dict[str, str]:
        """Labels of the bridges that hold some of a token, by address."""
        if ESCROWS.name not in self.snapshot.tables:
            return {}
        table = self.snapshot.tables[ESCROWS.name]
        columns = table.texts("escrow"), table.texts("bridged_to")
        return {escrow: f"bridge to {chain} {_short(escrow)}" for escrow, chain in zip(*columns, strict=True)}

    def _draw_escrows(self) -> None:
        """What bridges hold for claims on other chains, which are hit with it."""
        if ESCROWS.name not in self.snapshot.tables:
            return
        table, rows = self.snapshot.tables[ESCROWS.name], self.book.token_row
        token = np.array([rows[address] for address in table.texts("token")], dtype=np.int64)
        bridge = np.array([self._issuer[escrow] for escrow in table.texts("escrow")], dtype=np.int64)
        amount = table.floats("held_raw") / self.book.unit[token]
        self._add("backs", bridge, token, token, amount, ESCROWS.name, np.arange(len(token)))

    def _draw_placements(self) -> None:
        """What vaults have in reserves, and of other vaults."""
        placed = self.placements
        node = np.array([self._issuer.get(name, NONE) for name in placed.issuer], dtype=np.int64)
        tables, table, row = placed.sources
        for kind, target in (("supplies", self._reserve + placed.reserve), ("backs", placed.share)):
            some = np.flatnonzero((node != NONE) & ((placed.reserve if kind == "supplies" else placed.share) != NONE))
            columns = (node[some], target[some], placed.token[some], placed.amount[some])
            self.drawing.add(kind, *columns, tables, table[some], row[some])

    def _draw_accounts(self, accounts: Literal["each", "pattern"]) -> None:
        holdings = self.holdings
        # an issuer that holds or owes in a market is one node, so that a loss on its account reaches its claims
        node_of = np.array([self._issuer.get(address, -1) for address in holdings.addresses], dtype=np.int64)
        others = np.flatnonzero(node_of < 0)
        if accounts == "each":
            addresses = [holdings.addresses[row] for row in others.tolist()]
            first = self.nodes.add("account", addresses, map(_short, addresses), [""] * len(addresses))
            node_of[others] = first + np.arange(len(others))
        else:
            group, patterns = _patterns(holdings, others)
            node_of[others] = self._draw_patterns(group, patterns) + group
        node = node_of[holdings.account]
        reserve, token = self._reserve + holdings.reserve, self.reserves.token[holdings.reserve]
        self.drawing.add("supplies", node, reserve, token, holdings.supplied, *holdings.sources)
        self.drawing.add("pledges", node, reserve, token, holdings.pledged, *holdings.sources)
        self.drawing.add("borrows", reserve, node, token, holdings.debt, *holdings.sources)

    def _draw_patterns(self, group: IntArray, patterns: Sequence[Sequence[tuple[int, int]]]) -> int:
        """A node a pattern; returns the row of the first."""
        first, nodes = len(self.nodes), self.nodes
        names = [self._pattern(pattern) for pattern in patterns]
        counts = np.bincount(group, minlength=len(patterns)).tolist()
        nodes.ids += [f"accounts:{hashlib.sha256(name.encode()).hexdigest()[:16]}" for name in names]
        nodes.kinds += ["account"] * len(names)
        nodes.labels += [f"{count:,} × {name}" for count, name in zip(counts, names, strict=True)]
        nodes.groups += [""] * len(names)
        nodes.counts += counts
        return first

    def _pattern(self, pattern: Sequence[tuple[int, int]]) -> str:
        """What a pattern holds, in words: one part a market."""
        parts: dict[int, list[list[str]]] = {}
        for reserve, flags in pattern:
            pledged, supplied, owed = parts.setdefault(int(self.reserves.market[reserve]), [[], [], []])
            symbol = self._symbols[int(self.reserves.token[reserve])]
            if flags & _PLEDGED:
                pledged.append(symbol)
            elif flags & _SUPPLIED:
                supplied.append(f"({symbol})")
            if flags & _OWED:
                owed.append(symbol)
        names = [market.name for market in self.book.markets]
        return "; ".join(
            f"{names[market]}: {'+'.join(pledged + other) or 'nothing'} / {'+'.join(owed) or 'no debt'}"
            for market, (pledged, other, owed) in sorted(parts.items())
        )

    def _draw_quotes(self) -> None:
        """The feed that prices each reserve, and the token that its prices are in."""
        oracles = self.snapshot.tables[ORACLES.name]
        names = ("market", "token", "feed", "numeraire")
        price, rows = self.book.outside_usd, self.book.token_row
        reserve_feed, feed_token = [], []
        for row, (market, token, feed, numeraire) in enumerate(zip(*(oracles.texts(n) for n in names), strict=True)):
            node = self._reserve_of.get((market, token))
            if node is None:
                continue
            held = float(self.reserves.held[node - self._reserve])
            if feed:
                reserve_feed.append((node, self._issuer[feed], rows[token], held, row))
            if numeraire:
                counted = rows[numeraire]
                worth = held * price[rows[token]] / price[counted] if price[counted] > 0 else 0.0
                feed_token.append((self._issuer[feed] if feed else node, counted, counted, worth, row))
        for entries in (reserve_feed, feed_token):
            columns = np.array(entries, dtype=np.float64).reshape(-1, 5).T
            source, target, token_, row_ = (columns[place].astype(np.int64) for place in (0, 1, 2, 4))
            self._add("quotes", source, target, token_, columns[3], ORACLES.name, row_)

    def _add(
        self,
        kind: str,
        source: IntArray,
        target: IntArray,
        token: IntArray,
        amount: FloatArray,
        table: str,
        row: IntArray,
    ) -> None:
        """Edges whose rows are all of one table."""
        self.drawing.add(kind, source, target, token, amount, (table,), np.zeros(len(row), dtype=np.int64), row)


_SUPPLIED, _PLEDGED, _OWED = 1, 2, 4


def _patterns(holdings: Holdings, some: IntArray) -> tuple[IntArray, list[list[tuple[int, int]]]]:
    """Some accounts by holding pattern: which reserves an account supplies, pledges and owes in.

    Returns
    -------
    group
        Of each of these accounts, the number of its pattern, in order of first appearance.
    patterns
        Of each group, (reserve, flags) of what it holds, in order of the reserves.
    """
    flags = (
        _SUPPLIED * (holdings.supplied > 0) + _PLEDGED * (holdings.pledged > 0) + _OWED * (holdings.debt > 0)
    ).astype(np.int64)
    held = np.flatnonzero(flags)
    codes, account = holdings.reserve[held] * 8 + flags[held], holdings.account[held]
    order = np.lexsort((codes, account))
    codes, account = codes[order], account[order]
    bounds = np.searchsorted(account, np.arange(len(holdings.addresses) + 1)).tolist()
    number: dict[bytes, int] = {}
    group = np.empty(len(some), dtype=np.int64)
    for place, account_ in enumerate(some.tolist()):
        held_here = codes[bounds[account_] : bounds[account_ + 1]]
        group[place] = number.setdefault(held_here.tobytes(), len(number))
    decoded = [np.frombuffer(key, dtype=np.int64).tolist() for key in number]
    return group, [[(code // 8, code % 8) for code in pattern] for pattern in decoded]


def _short(address: str) -> str:
    return f"{address[:6]}…{address[-4:]}" if len(address) > 14 else address
