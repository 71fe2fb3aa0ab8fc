"""Reads every Morpho market that somebody owes in, at a pinned block: totals, rates, oracle prices, borrowers.

Markets are found from ``CreateMarket`` events, borrowers from ``Borrow`` events; the debt shares of all that are found
must add up to the market's. Markets are anybody's to open. One whose oracle does not answer, or whose tokens are not
to be understood, is left out with a note: nobody can be liquidated there, or nothing be told of it. An interest rate
model is enabled by governance, and one that is not known is refused.

Sources: Morpho.sol and EventsLib of morpho-blue; MorphoChainlinkOracleV2 of morpho-blue-oracles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import InputError, NodeError, UnsupportedError
from chain.events import scan
from chain.node import Block, Node, Progress
from chain.snapshot import ORACLES, TOKENS, Market
from protocols.asking import NOBODY, Source
from protocols.lending.morpho_blue import tables
from protocols.lending.morpho_blue.irm import borrow_rate
from protocols.lending.morpho_blue.market import VERSIONS
from protocols.lending.morpho_blue.state import Totals
from protocols.reading import FEED_COLUMNS, Reading, Rows, ask_feeds, description, published_at, token_rows

# keccak256("CreateMarket(bytes32,(address,address,address,address,uint256))")
CREATE_MARKET = "0xac4b2400f169220b0c0afdde7a0b32e775ba727ea1cb30b35f935cdaab8683ac"
# keccak256("Borrow(bytes32,address,address,address,uint256,uint256)")
BORROW = "0x570954540bed6b1304a87dfe815a5eda4a648f7097a16240dcd85c9b5fd42a43"

PARAMETERS = "(address,address,address,address,uint256)"
TOTALS = "(uint128,uint128,uint128,uint128,uint128,uint128)"
MARKET = f"market(bytes32){TOTALS}"
POSITION = "position(bytes32,address)(uint256,uint128,uint128)"

_FEEDS = ("BASE_FEED_1", "BASE_FEED_2", "QUOTE_FEED_1", "QUOTE_FEED_2")
"""What a price may be made of, by the names that Morpho's own oracle contract has for its parts."""
_VAULTS = ("BASE_VAULT", "QUOTE_VAULT")
_MOST_DECIMALS = 36


class _Found(NamedTuple):
    """A market and what its contracts answered."""

    id: str
    name: str
    loan: str
    collateral: str
    oracle: str
    irm: str
    lltv_wad: int
    totals: Totals
    fee_wad: int

    @property
    def parameters(self) -> tuple[str, str, str, str, int]:
        """Morpho's MarketParams."""
        return (self.loan, self.collateral, self.oracle, self.irm, self.lltv_wad)


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read all markets with debt of one Morpho.

    Parameters
    ----------
    node, block
        Where from.
    deployment
        Its address book entry; needs the address ``morpho``.
    progress
        Makes a progress callback for a part of the work.

    Raises
    ------
    UnsupportedError
        For an interest rate model or a version that is not modelled.
    InputError
        If there are no markets at all at the address.
    NodeError
        If the node does not answer, or its events do not show all the debt.
    """
    return _Reader(Source(node, block, deployment, progress)).reading()


class _Reader:
    def __init__(self, source: Source) -> None:
        deployment = source.deployment
        self.source, self.name = source, deployment.name
        self.morpho = deployment.addresses["morpho"]
        self.version = deployment.version or VERSIONS[0]
        if self.version not in VERSIONS:
            raise UnsupportedError(f"{self.name}: no rules for Morpho Blue version {self.version!r}")

    def reading(self) -> Reading:
        """Everything, as rows of the snapshot's tables."""
        with_debt = self._markets()
        prices = self.source.read([Call(market.oracle, "price()(uint256)") for market in with_debt], require=False)
        decimals = self._decimals(with_debt)
        kept, notes = self._understood(with_debt, prices, decimals)
        price = {m.id: p for m, p in zip(with_debt, prices, strict=True)}
        rates = self._rates(kept)
        tokens = sorted({token for market in kept for token in (market.loan, market.collateral)})
        rows = {
            TOKENS: token_rows(self.source, tokens, [decimals[token] for token in tokens]),
            ORACLES: self._oracles(kept, price, decimals),
            tables.MARKETS: [
                {
                    "market": m.name,
                    "id": m.id,
                    "loan_token": m.loan,
                    "collateral_token": m.collateral,
                    "oracle": m.oracle,
                    "irm": m.irm,
                    "model": model,
                    "lltv_wad": m.lltv_wad,
                    "fee_wad": m.fee_wad,
                    **m.totals._asdict(),
                    "rate_wad": rate,
                    "price_raw": price[m.id],
                }
                for m, (model, rate) in zip(kept, rates, strict=True)
            ],
            tables.POSITIONS: self._positions(kept),
        }
        markets = tuple(
            Market(m.name, tables.PROTOCOL, self.version, {"morpho": self.morpho, "id": m.id, "oracle": m.oracle})
            for m in kept
        )
        return Reading(markets, rows, notes)

    # --- markets ------------------------------------------------------------------------------------------------

    def _markets(self) -> list[_Found]:
        """The markets in which somebody owes something, in order of their ids."""
        logs = self._scan([CREATE_MARKET], "scanning for markets")
        created = {log.topics[1]: log.data for log in logs}
        if not created:
            raise InputError(
                f"{self.name}: {self.morpho} has opened no market since block {self.source.deployment.from_block}; "
                "is the address right, or from_block too late?"
            )
        ids = sorted(created)
        stored = self.source.read([Call(self.morpho, MARKET, (bytes.fromhex(one[2:]),)) for one in ids])
        found = []
        for one, totals in zip(ids, stored, strict=True):
            words = [created[one][i : i + 32] for i in range(0, 160, 32)]
            loan, collateral, oracle, irm = ("0x" + word[12:].hex() for word in words[:4])
            lltv = int.from_bytes(words[4], "big")
            name = f"{self.name}/{one[2:12]}"
            market = _Found(one, name, loan, collateral, oracle, irm, lltv, Totals(*totals[:5]), totals[5])
            if market.totals.borrow_shares:
                found.append(market)
        return found

    def _decimals(self, markets: Sequence[_Found]) -> dict[str, Any]:
        tokens = sorted({token for market in markets for token in (market.loan, market.collateral)})
        answers = self.source.read([Call(token, "decimals()(uint8)") for token in tokens], require=False)
        return dict(zip(tokens, answers, strict=True))

    def _understood(
        self, markets: Sequence[_Found], prices: Sequence[Any], decimals: Mapping[str, Any]
    ) -> tuple[list[_Found], list[str]]:
        """The markets that can be modelled, and why others are not."""
        kept, notes = [], []
        for market, price in zip(markets, prices, strict=True):
            places = [decimals[market.collateral], decimals[market.loan]]
            if isinstance(price, CallFailed):
                why = f"its oracle {market.oracle} does not answer, so that nobody can be liquidated"
            elif market.collateral == market.loan:
                why = f"it lends {market.loan} against itself"
            elif any(isinstance(n, CallFailed) or n > _MOST_DECIMALS for n in places):
                why = f"the decimals of {market.collateral} or {market.loan} are not known"
            else:
                kept.append(market)
                continue
            notes.append(f"{market.name}, where {market.totals.borrow_assets} units are owed, is left out: {why}.")
        return kept, notes

    # --- rates and prices ---------------------------------------------------------------------------------------

    def _rates(self, markets: Sequence[_Found]) -> list[tuple[str, int]]:
        """Each market's kind of interest rate model and what the model remembers.

        A model is known by the functions that it has, and by answering as the rules do for this very block.
        """
        charging = [market for market in markets if market.irm != NOBODY]
        ids = [bytes.fromhex(market.id[2:]) for market in charging]
        view = f"borrowRateView({PARAMETERS},{TOTALS})(uint256)"
        answers = self.source.read(
            [
                *(Call(m.irm, "rateAtTarget(bytes32)(int256)", (i,)) for m, i in zip(charging, ids, strict=True)),
                *(Call(m.irm, "borrowRateStored(bytes32)(uint256)", (i,)) for m, i in zip(charging, ids, strict=True)),
                *(Call(m.irm, view, (m.parameters, (*m.totals, m.fee_wad))) for m in charging),
            ],
            require=False,
        )
        count = len(charging)
        columns = zip(charging, answers[:count], answers[count : 2 * count], answers[2 * count :], strict=True)
        found = {market.id: ("none", 0) for market in markets}
        for market, at_target, fixed, now in columns:
            model, rate = ("fixed", fixed) if isinstance(at_target, CallFailed) else ("adaptive", at_target)
            if isinstance(rate, CallFailed):
                raise self._unknown_model(market, "it is neither the adaptive curve nor a fixed rate")
            ours = borrow_rate(tables.MODELS[model], rate, market.totals, self.source.block.timestamp).average_wad
            if ours != now:
                raise self._unknown_model(market, f"it answers {now}, not {ours} as the {model} model would")
            found[market.id] = (model, rate)
        return [found[market.id] for market in markets]

    def _unknown_model(self, market: _Found, why: str) -> UnsupportedError:
        return UnsupportedError(f"{market.name}: the interest rate model {market.irm} is not modelled: {why}")

    def _oracles(self, markets: Sequence[_Found], price: Mapping[str, int], decimals: Mapping[str, int]) -> Rows:
        composed = self._composition(sorted({market.oracle for market in markets}))
        rows = []
        for market in markets:
            made_of, answered_at = composed[market.oracle]
            rows.append(
                {
                    "market": market.name,
                    "token": market.collateral,
                    "numeraire": market.loan,
                    "feed": market.oracle,
                    "description": made_of,
                    "price_raw": price[market.id],
                    "unit_raw": 10 ** (36 + decimals[market.loan] - decimals[market.collateral]),
                    "published_at": answered_at,
                }
            )
        return rows

    def _composition(self, oracles: Sequence[str]) -> dict[str, tuple[str, int]]:
        """What each oracle's price is made of, in words, and when one of its feeds last answered (0: not known)."""
        roles = [(oracle, role) for oracle in oracles for role in (*_FEEDS, *_VAULTS)]
        answers = self.source.read([Call(oracle, f"{role}()(address)") for oracle, role in roles], require=False)
        parts = {
            (oracle, role): part
            for (oracle, role), part in zip(roles, answers, strict=True)
            if not isinstance(part, CallFailed) and part != NOBODY
        }
        feeds = sorted({*oracles, *parts.values()})
        told = self.source.columns(ask_feeds(feeds), may_fail=FEED_COLUMNS)
        text = {feed: description(answer) for feed, answer in zip(feeds, told["text"], strict=True)}
        answered = {feed: published_at(answer) for feed, answer in zip(feeds, told["round"], strict=True)}
        found = {}
        for oracle in oracles:
            own = {role: part for (of, role), part in parts.items() if of == oracle}
            described = "; ".join(f"{role} {text[part] or part}" for role, part in own.items())
            found[oracle] = (described or text[oracle], max(answered[feed] for feed in (oracle, *own.values())))
        return found

    # --- accounts -----------------------------------------------------------------------------------------------

    def _positions(self, markets: Sequence[_Found]) -> Rows:
        """Everybody who owes something, market by market."""
        candidates: dict[str, set[str]] = defaultdict(set)
        for log in self._scan([BORROW], "scanning for accounts"):
            candidates[log.topics[1]].add("0x" + log.topics[2][-40:])
        wanted = [(market, account) for market in markets for account in sorted(candidates[market.id])]
        answers = self.source.read(
            [Call(self.morpho, POSITION, (bytes.fromhex(m.id[2:]), account)) for m, account in wanted],
            what="reading positions",
        )
        rows: Rows = []
        missing = {market.name: market.totals.borrow_shares for market in markets}
        for (market, account), (_, shares, collateral) in zip(wanted, answers, strict=True):
            missing[market.name] -= shares
            if shares:
                rows.append(
                    {"market": market.name, "account": account, "borrow_shares": shares, "collateral": collateral}
                )
        for name, shares in missing.items():
            if shares:
                raise NodeError(
                    f"{name}: the accounts in {self.source.node}'s Borrow events do not owe {shares} of the market's "
                    "debt shares; its logs are not complete, or from_block is too late"
                )
        return rows

    # --- asking -------------------------------------------------------------------------------------------------

    def _scan(self, topics: Sequence[str], what: str) -> list[Any]:
        return scan(
            self.source.node,
            self.source.block,
            self.morpho,
            topics,
            from_block=self.source.deployment.from_block,
            progress=self.source.progress(what),
        )
