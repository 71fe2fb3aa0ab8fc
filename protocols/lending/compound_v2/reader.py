"""Reads a comptroller's markets at a pinned block: markets, rate models, oracle prices, and every account with debt.

Accounts are found from the markets' ``Borrow`` events: a debt begins with one. What an account owed when its debt last
changed, and the index then, no function tells: they are read from storage, and held against ``borrowBalanceStored``.
Source of the layouts: Comptroller.sol, CToken.sol and CTokenInterfaces.sol of compound-protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import InputError, UnsupportedError
from chain.node import AT_BLOCK, Block, Node, Progress
from chain.snapshot import ORACLES, TOKENS, Market
from chain.tables import Schema
from protocols.asking import Source, each
from protocols.lending.compound_v2 import tables
from protocols.lending.compound_v2.interest import borrow_rate
from protocols.lending.compound_v2.ratemodel import answered, questions
from protocols.lending.compound_v2.state import Markets
from protocols.lending.compound_v2.versions import version_of
from protocols.reading import Reading, Rows, token_rows

# keccak256("Borrow(address,uint256,uint256,uint256)")
BORROW = "0x13ed6866d4e1ee6da46f845c46d7e54120883d75c5ea9a2dacc1c4ca8984ab80"
DEBT_SLOTS = range(14, 22)
"""Where ``accountBorrows`` may be in a market's storage: in slot 16, and a little later in the oldest."""

_NUMBERS = {
    "borrows_raw": "totalBorrows",
    "reserves_raw": "totalReserves",
    "claims": "totalSupply",
    "index_wad": "borrowIndex",
    "accrued_block": "accrualBlockNumber",
    "initial_rate_wad": "exchangeRateStored",
    "reserve_factor_wad": "reserveFactorMantissa",
    "rate": "borrowRatePerBlock",
}
"""A column, and the market's function that gives it; the exchange rate is the initial one while there are no claims."""

Claim = str
"""A market's own address."""


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read one comptroller's markets.

    Parameters
    ----------
    node, block
        Where from.
    deployment
        Its address book entry; needs the address ``comptroller``, and ``wrapped_native`` where a market is in the
        chain's own currency.
    progress
        Makes a progress callback for a part of the work.

    Raises
    ------
    UnsupportedError
        For a version, an interest rate model or a storage layout that is not known.
    NodeError
        If the node does not answer.
    """
    return CompoundReader(Source(node, block, deployment, progress)).reading()


class CompoundReader:
    """One deployment being read. Venus' reader is one that asks more."""

    protocol = tables.PROTOCOL
    accounts_table: Schema = tables.ACCOUNTS
    positions_table: Schema = tables.POSITIONS
    cash = "getCash"
    """The markets' function for what they can pay out."""
    no_debt: Mapping[str, Any] = MappingProxyType({})
    """The columns of :meth:`debt_facts` where an account has no debt."""

    def __init__(self, source: Source) -> None:
        self.source, self.name = source, source.deployment.name
        self.comptroller = source.deployment.addresses["comptroller"]
        self.oracle, self.close_factor, listed = source.read(
            [
                Call(self.comptroller, "oracle()(address)"),
                Call(self.comptroller, "closeFactorMantissa()(uint256)"),
                Call(self.comptroller, "getAllMarkets()(address[])"),
            ]
        )
        self.all: tuple[Claim, ...] = listed
        self.ids = {claim: number for number, claim in enumerate(self.all)}
        self.notes: list[str] = []
        self.version = self.find_version()

    def reading(self) -> Reading:
        """Everything, as rows of the snapshot's tables."""
        self.tokens = self._underlying()
        prices = self._prices()
        self.claims = self._kept(prices)
        decimals = self.source.read([Call(self.tokens[claim], "decimals()(uint8)") for claim in self.claims])
        rows = self._market_rows(prices, decimals)
        accounts, positions = self._accounts(rows)
        addresses = {"comptroller": self.comptroller, "oracle": self.oracle} | self.more_addresses()
        # By token: which market stands for it.
        addresses |= {row["token"]: row["claim_token"] for row in rows}
        return Reading(
            (Market(self.name, self.protocol, self.version, addresses),),
            {
                TOKENS: token_rows(self.source, [self.tokens[claim] for claim in self.claims], decimals),
                ORACLES: self._oracle_rows(rows),
                self.accounts_table: accounts,
                self.positions_table: positions,
            }
            | self.more_rows(rows),
            self.notes,
        )

    # --- what a fork of Compound does in its own way ------------------------------------------------------------

    def find_version(self) -> str:
        """The version of the contracts."""
        return version_of(self.source.deployment.version or "2").name

    def more_addresses(self) -> dict[str, str]:
        """Contracts that executing on a fork needs besides comptroller, oracle and markets."""
        return {}

    def more_rows(self, markets: Rows) -> dict[Schema, Rows]:
        """Rows of settings and markets, made of what is common to all markets."""
        settings = self.source.read(
            [
                Call(self.comptroller, "liquidationIncentiveMantissa()(uint256)"),
                Call(self.comptroller, "seizeGuardianPaused()(bool)"),
            ]
        )
        factors = self.source.read(each(self.comptroller, "markets(address)(bool,uint256)", self.claims))
        name = {"market": self.name}
        values = {"close_factor_wad": self.close_factor, "incentive_wad": settings[0], "seize_paused": settings[1]}
        rows = [row | {"collateral_factor_wad": factor[1]} for row, factor in zip(markets, factors, strict=True)]
        return {tables.SETTINGS: [name | values], tables.MARKETS: rows}

    def flags(self) -> list[dict[str, Any]]:
        """Of each kept market: whether it is listed, whether borrowing is paused, what it keeps of a seizure."""
        listed = self.source.read(each(self.comptroller, "markets(address)(bool,uint256)", self.claims))
        paused = self.source.read(each(self.comptroller, "borrowGuardianPaused(address)(bool)", self.claims))
        # The oldest markets keep nothing, and have no such function.
        shares = self.source.read(
            [Call(c, "protocolSeizeShareMantissa()(uint256)") for c in self.claims], require=False
        )
        return [
            {"listed": row[0], "borrow_paused": pause, "seize_share_wad": 0 if isinstance(share, CallFailed) else share}
            for row, pause, share in zip(listed, paused, shares, strict=True)
        ]

    def account_facts(self, accounts: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Columns of each account, and why some are left out."""
        return {account: {} for account in accounts}, {}

    def debt_facts(self, pairs: Sequence[tuple[str, Claim]]) -> list[dict[str, Any]]:
        """Columns of each debt."""
        return [{} for _ in pairs]

    # --- markets ------------------------------------------------------------------------------------------------

    def _underlying(self) -> dict[Claim, str]:
        """Each market's token; the wrapped form of the chain's own currency where a market is in that."""
        answers = self.source.read([Call(claim, "underlying()(address)") for claim in self.all], require=False)
        found = {}
        for claim, answer in zip(self.all, answers, strict=True):
            native = isinstance(answer, CallFailed)
            token = self.source.deployment.addresses.get("wrapped_native") if native else answer
            if token is None:
                raise InputError(
                    f"{self.name}: market {claim} has no underlying token, so it is in the chain's own "
                    "currency; give the token that wraps it as address wrapped_native in the deployments file"
                )
            found[claim] = token
        return found

    def _prices(self) -> dict[Claim, int]:
        """Each market's price; 0 where the oracle has none."""
        calls = [Call(self.oracle, "getUnderlyingPrice(address)(uint256)", (claim,)) for claim in self.all]
        answers = self.source.read(calls, require=False)
        return {
            claim: 0 if isinstance(price, CallFailed) else price for claim, price in zip(self.all, answers, strict=True)
        }

    def _kept(self, prices: Mapping[Claim, int]) -> list[Claim]:
        """The markets that can be modelled: with a price, and the largest of those in the same token."""
        sizes = self.source.read([Call(claim, "totalBorrows()(uint256)") for claim in self.all])
        best: dict[str, tuple[int, Claim]] = {}
        for claim, size in zip(self.all, sizes, strict=True):
            if prices[claim]:
                token = self.tokens[claim]
                best[token] = max(best.get(token, (-1, "")), (size, claim))
        chosen = {claim for _, claim in best.values()}
        dropped = [claim for claim in self.all if claim not in chosen]
        if dropped:
            self.notes.append(
                f"{self.name}: markets {', '.join(dropped)} are left out: the oracle has no price for them, "
                "or a larger market is in the same token."
            )
        return [claim for claim in self.all if claim in chosen]

    def _market_rows(self, prices: Mapping[Claim, int], decimals: Sequence[int]) -> Rows:
        """Rows of what is common to all markets, rate models found out and checked."""
        numbers = _NUMBERS | {"cash_raw": self.cash}
        columns = self.source.columns(
            {column: [Call(claim, f"{name}()(uint256)") for claim in self.claims] for column, name in numbers.items()}
        )
        models = self.source.read([Call(claim, "interestRateModel()(address)") for claim in self.claims])
        flags = self.flags()
        asked = [questions(model) for model in models]
        told = iter(self.source.read([call for calls in asked for call in calls], require=False))
        rows = []
        for place, (claim, model) in enumerate(zip(self.claims, models, strict=True)):
            rates = answered([next(told) for _ in asked[place]])
            row = {column: values[place] for column, values in columns.items()}
            rate = row.pop("rate")
            if rates is not None:
                row |= {"unit": 10 ** decimals[place], "price_raw": prices[claim]} | flags[place] | rates
            if rates is None or _rate(row) != rate:
                raise UnsupportedError(
                    f"{self.name}: the interest rate model {model} of market {claim} is of no kind known "
                    "here (white paper, jump rate, two kinks)"
                )
            key = {"market": self.name, "token": self.tokens[claim], "claim_token": claim}
            rows.append(key | {"id": self.ids[claim]} | row)
        return rows

    def _oracle_rows(self, rows: Rows) -> Rows:
        """The oracle is asked by market, so the market is what stands for the feed."""
        return [
            {
                "market": self.name,
                "token": row["token"],
                "numeraire": "",
                "feed": row["claim_token"],
                "description": f"oracle {self.oracle}, asked for this market",
                "price_raw": row["price_raw"],
                "unit_raw": 10**36 // row["unit"],
                "published_at": 0,
            }
            for row in rows
        ]

    # --- accounts -----------------------------------------------------------------------------------------------

    def _accounts(self, markets: Rows) -> tuple[Rows, Rows]:
        """Rows of the accounts that owe something, and of their balances; notes say who is left out."""
        owed = self._debts()
        accounts = sorted({account for account, _ in owed})
        facts, left_out = self.account_facts(accounts)
        markets_of = self.source.read(each(self.comptroller, "getAssetsIn(address)(address[])", accounts))
        entered = dict(zip(accounts, markets_of, strict=True))
        pairs = [(account, claim) for account in accounts for claim in self.all]
        balances = self.source.read(
            [Call(c, "balanceOf(address)(uint256)", (a,)) for a, c in pairs], what="reading balances"
        )
        held = {pair: balance for pair, balance in zip(pairs, balances, strict=True) if balance}
        kept = set(self.claims)
        for account, claim in [*held, *owed]:
            counts = claim in entered[account] or (account, claim) in owed
            if claim not in kept and counts:
                left_out.setdefault(account, "have balances in markets that are")
        for reason in sorted(set(left_out.values())):
            count = sum(why == reason for why in left_out.values())
            self.notes.append(
                f"{self.name}: {count} of {len(accounts)} accounts with debt are left out: they {reason} not modelled."
            )
        accounts = [account for account in accounts if account not in left_out]
        debts = [pair for pair in owed if pair[0] in set(accounts)]
        snapshots = self._snapshots(debts, {row["claim_token"]: row["index_wad"] for row in markets}, owed)
        more = dict(zip(debts, self.debt_facts(debts), strict=True))
        positions = []
        for account in accounts:
            for claim in self.claims:
                pair = account, claim
                if not (pair in snapshots or pair in held or claim in entered[account]):
                    continue
                principal, index = snapshots.get(pair, (0, 0))
                positions.append(
                    {
                        "market": self.name,
                        "account": account,
                        "token": self.tokens[claim],
                        "claims": held.get(pair, 0),
                        "principal_raw": principal,
                        "snapshot_index_wad": index,
                        "entered": claim in entered[account],
                        **more.get(pair, self.no_debt),
                    }
                )
        return [{"market": self.name, "account": a} | facts[a] for a in accounts], positions

    def _debts(self) -> dict[tuple[str, Claim], int]:
        """Who owes what in which market, as stored."""
        logs = self.source.scan(self.all, [BORROW], "scanning for accounts")
        pairs = sorted({("0x" + log.data[12:32].hex(), log.address) for log in logs})
        calls = [Call(claim, "borrowBalanceStored(address)(uint256)", (account,)) for account, claim in pairs]
        debts = self.source.read(calls, what="reading debts")
        return {pair: debt for pair, debt in zip(pairs, debts, strict=True) if debt}

    def _snapshots(
        self, debts: Sequence[tuple[str, Claim]], indices: Mapping[Claim, int], owed: Mapping[tuple[str, Claim], int]
    ) -> dict[tuple[str, Claim], tuple[int, int]]:
        """``accountBorrows``: each debt when it last changed, and the market's index then."""
        found: dict[tuple[str, Claim], tuple[int, int]] = {}
        for slot in DEBT_SLOTS:
            missing = [pair for pair in debts if pair not in found]
            # The first debt of a market shows whether its debts are in this slot.
            probes = list({claim: (account, claim) for account, claim in missing}.values())
            right = set()
            for pair, (principal, index) in zip(probes, self._stored(probes, slot), strict=True):
                if index and principal * indices[pair[1]] // index == owed[pair]:
                    right.add(pair[1])
            here = [pair for pair in missing if pair[1] in right]
            found |= dict(zip(here, self._stored(here, slot), strict=True))
        for pair in debts:
            principal, index = found.get(pair, (0, 0))
            if not index or principal * indices[pair[1]] // index != owed[pair]:
                raise UnsupportedError(
                    f"{self.name}: the storage of market {pair[1]} is laid out in no way known here: the "
                    f"debt of {pair[0]} is not found in it"
                )
        return found

    def _stored(self, pairs: Sequence[tuple[str, Claim]], slot: int) -> list[tuple[int, int]]:
        from eth_utils.crypto import keccak

        requests = []
        for account, claim in pairs:
            place = int.from_bytes(
                keccak(bytes.fromhex(account[2:]).rjust(32, b"\0") + slot.to_bytes(32, "big")), "big"
            )
            requests += [("eth_getStorageAt", [claim, hex(place + word), AT_BLOCK]) for word in (0, 1)]
        words = [int(word, 16) for word in self.source.node.read(self.source.block, requests)]
        return list(zip(words[::2], words[1::2], strict=True))


def _rate(row: Mapping[str, Any]) -> int:
    """The rate a block that the rules give for a market's row."""
    return int(borrow_rate(Markets(*([row[name]] for name in Markets._fields)), 0))
