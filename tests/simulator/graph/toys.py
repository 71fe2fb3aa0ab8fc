"""Toy snapshots of claims, Morpho markets and pools, made by hand; prices and decimals differ from token to token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chain.snapshot import CLAIMS, ORACLES, TOKENS, Market, Snapshot
from chain.tables import Table
from protocols.amm.uniswap_v2 import tables as v2
from protocols.lending.morpho_blue import tables as morpho

START = 1_700_000_000
YEAR_S = 365 * 24 * 3600
WAD = 10**18


@dataclass(frozen=True)
class Coin:
    """A token; without a price it has only that of what it is a claim on."""

    symbol: str
    price_usd: float | None = None
    decimals: int = 18

    @property
    def address(self) -> str:
        return "0x" + self.symbol.encode().hex().ljust(40, "0")[:40]

    def raw(self, amount: float) -> int:
        return round(amount * 10**self.decimals)


@dataclass(frozen=True)
class Claim:
    """A claim: whole underlying that one is worth, how many there are, the issuer. `underlying` is empty off chain."""

    token: str
    underlying: str
    rate: float
    supply: float
    issuer: str
    due_at: int = 0


@dataclass(frozen=True)
class Loans:
    """A Morpho market: accounts with (collateral, debt) in whole tokens; its rate is a year's, compounding."""

    name: str
    collateral: str
    loan: str
    accounts: Mapping[str, tuple[float, float]]
    lltv: float = 0.86
    rate: float = 0.0
    supplied: float = 0.0
    """More than the debts, in the loan token."""


@dataclass(frozen=True)
class Pair:
    """A Uniswap v2 pair whose sides are worth this much each."""

    first: str
    second: str
    side_usd: float


@dataclass(frozen=True)
class Toy:
    """What a snapshot is made of."""

    coins: Sequence[Coin]
    claims: Sequence[Claim] = ()
    loans: Sequence[Loans] = ()
    pairs: Sequence[Pair] = field(default=())

    def coin(self, symbol: str) -> Coin:
        return next(coin for coin in self.coins if coin.symbol == symbol)

    def price(self, symbol: str) -> float:
        coin = self.coin(symbol)
        if coin.price_usd is not None:
            return coin.price_usd
        return sum(c.rate * self.price(c.underlying) for c in self.claims if c.token == symbol)


def snapshot_of(toy: Toy) -> Snapshot:
    """The snapshot of a toy."""
    coins = {coin.symbol: coin for coin in toy.coins}
    address = {symbol: coin.address for symbol, coin in coins.items()} | {"": ""}
    tables = {
        TOKENS: [{"token": c.address, "symbol": c.symbol, "decimals": c.decimals} for c in toy.coins],
        ORACLES: [_dollars(coin) for coin in toy.coins if coin.price_usd is not None]
        + [_in_loan_token(toy, loans) for loans in toy.loans],
        CLAIMS: [
            {
                "token": address[c.token],
                "underlying": address[c.underlying],
                "kind": "toy",
                "issuer": c.issuer,
                "amount_raw": coins[c.underlying].raw(c.rate) if c.underlying else 0,
                "supply_raw": coins[c.token].raw(c.supply),
                "backing_raw": coins[c.underlying].raw(c.rate * c.supply) if c.underlying else 0,
                "losses": "at once",
                "due_at": c.due_at,
            }
            for c in toy.claims
        ],
        morpho.MARKETS: [_market(toy, loans) for loans in toy.loans],
        morpho.POSITIONS: [
            {
                "market": loans.name,
                "account": account,
                "borrow_shares": coins[loans.loan].raw(debt) * 10**6,
                "collateral": coins[loans.collateral].raw(collateral),
            }
            for loans in toy.loans
            for account, (collateral, debt) in loans.accounts.items()
        ],
        v2.POOLS: [_pair(toy, number, pair) for number, pair in enumerate(toy.pairs)],
    }
    return Snapshot(
        chain_id=1,
        block_number=17,
        block_hash="0x11",
        timestamp=START,
        origin="sample",
        markets=tuple(Market(loans.name, morpho.PROTOCOL, "1.0") for loans in toy.loans),
        adapters={},
        tables={schema.name: Table.from_rows(schema, rows) for schema, rows in tables.items()},
    )


def _dollars(coin: Coin) -> dict[str, object]:
    return {
        "market": "dollars",
        "token": coin.address,
        "numeraire": "",
        "feed": f"0xfeed{coin.symbol}",
        "description": "",
        "price_raw": round((coin.price_usd or 0.0) * 10**8),
        "unit_raw": 10**8,
        "published_at": 0,
    }


def _scale(toy: Toy, loans: Loans) -> int:
    return int(10 ** (36 + toy.coin(loans.loan).decimals - toy.coin(loans.collateral).decimals))


def _price_raw(toy: Toy, loans: Loans) -> int:
    return round(toy.price(loans.collateral) / toy.price(loans.loan) * 10**12) * _scale(toy, loans) // 10**12


def _in_loan_token(toy: Toy, loans: Loans) -> dict[str, object]:
    return {
        "market": loans.name,
        "token": toy.coin(loans.collateral).address,
        "numeraire": toy.coin(loans.loan).address,
        "feed": f"0xoracle{loans.name}",
        "description": "",
        "price_raw": _price_raw(toy, loans),
        "unit_raw": _scale(toy, loans),
        "published_at": 0,
    }


def _market(toy: Toy, loans: Loans) -> dict[str, object]:
    owed = sum(toy.coin(loans.loan).raw(debt) for _, debt in loans.accounts.values())
    return {
        "market": loans.name,
        "id": "0x" + loans.name,
        "loan_token": toy.coin(loans.loan).address,
        "collateral_token": toy.coin(loans.collateral).address,
        "oracle": f"0xoracle{loans.name}",
        "irm": "0xirm",
        "model": "fixed" if loans.rate else "none",
        "lltv_wad": round(loans.lltv * 10**6) * 10**12,
        "fee_wad": 0,
        "supply_assets": owed + toy.coin(loans.loan).raw(loans.supplied),
        "supply_shares": (owed + toy.coin(loans.loan).raw(loans.supplied)) * 10**6,
        "borrow_assets": owed,
        "borrow_shares": owed * 10**6,
        "last_update": START,
        "rate_wad": round(loans.rate * WAD / YEAR_S),
        "price_raw": _price_raw(toy, loans),
    }


def _pair(toy: Toy, number: int, pair: Pair) -> dict[str, object]:
    first, second = (toy.coin(symbol) for symbol in (pair.first, pair.second))
    return {
        "pool": f"0xpair{number}",
        "token0": first.address,
        "token1": second.address,
        "reserve0_raw": first.raw(pair.side_usd / toy.price(pair.first)),
        "reserve1_raw": second.raw(pair.side_usd / toy.price(pair.second)),
    }
