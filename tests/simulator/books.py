"""Small books made by hand: one Aave v3 market, a few Uniswap pools, every number different from every other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from chain.snapshot import ORACLES, TOKENS, Market, Snapshot
from chain.tables import Schema, Table
from protocols.amm.interface import Venue
from protocols.amm.uniswap_v2 import tables as v2
from protocols.amm.uniswap_v3 import tables as v3
from protocols.amm.uniswap_v3.ticks import sqrt_price_at_tick
from protocols.lending.aave_v3 import tables as aave
from simulator.book import Book, open_book
from simulator.cascade import Cascade, Record
from simulator.scenario import Scenario, scenario_from

START = 1_700_000_000
MARKET = "pool"
RAY = 10**27


@dataclass(frozen=True)
class Asset:
    """A reserve; shares in basis points, the rate (a year) as a fraction."""

    symbol: str
    address: str
    decimals: int
    price_usd: float
    ltv: int
    threshold: int
    bonus: int
    fee: int
    income_index: int
    debt_index: int
    published_ago: int
    borrow_rate: float = 0.0

    @property
    def price_raw(self) -> int:
        return round(self.price_usd * 10**8)

    @property
    def unit(self) -> int:
        return 10**self.decimals


# addresses are not in the order of the list, so that rows of pools and of reserves differ
ETH = Asset("ETH", "0xc0", 18, 2904.37, 8050, 8300, 10500, 1000, 1041885985565761542208902705,
            1066257934226955425877190444, 61)  # fmt: skip
BTC = Asset("BTC", "0x22", 8, 60777.11, 7300, 7800, 10610, 1100, 1003292101594761881320986693,
            1021996267514194521890463761, 127)  # fmt: skip
USD = Asset("USD", "0xa0", 6, 0.99993, 7500, 7810, 10450, 900, 1123884094785924318382701909,
            1162950084404267246164138374, 193)  # fmt: skip
DAI = Asset("DAI", "0x6b", 18, 1.00012, 6300, 7700, 10470, 1300, 1120694732633576189423318612,
            1177096697989127381984962989, 259)  # fmt: skip
ASSETS = (ETH, BTC, USD, DAI)

Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Account:
    """What an account supplies as collateral and what it owes, whole tokens by symbol."""

    supplied: Amounts
    debt: Amounts


@dataclass(frozen=True)
class Pool:
    """A pool between two assets at their oracle prices; `depth_usd` is the worth of one side.

    `fee_pips` is None for Uniswap v2; `width` is the half-width of a v3 pool's only range, in ticks.
    """

    base: str
    quote: str
    depth_usd: float
    fee_pips: int | None = None
    width: int = 20_000


POOLS = (
    Pool("ETH", "USD", 41.0e6, 500),
    Pool("ETH", "USD", 7.0e6),
    Pool("ETH", "DAI", 11.0e6, 3000),
    Pool("BTC", "ETH", 23.0e6, 500),
    Pool("BTC", "USD", 5.0e6),
    Pool("USD", "DAI", 31.0e6, 100),
)
SPACING = {100: 1, 500: 10, 3000: 60}


def pool_name(number: int) -> str:
    return f"0xpool{number}"


def make_snapshot(
    accounts: Mapping[str, Account],
    pools: Sequence[Pool] = POOLS,
    assets: Sequence[Asset] = ASSETS,
    *,
    version: str = "3.6",
    lent_usd: float = 90.0e6,
) -> Snapshot:
    """The snapshot of a market with these accounts; others supply `lent_usd` of every asset and owe nothing."""
    by_symbol = {asset.symbol: asset for asset in assets}
    positions = [row for name, account in sorted(accounts.items()) for row in _positions(name, account, assets)]
    rows: dict[Schema, list[dict[str, Any]]] = {
        TOKENS: [{"token": a.address, "symbol": a.symbol, "decimals": a.decimals} for a in assets],
        ORACLES: [_oracle(asset) for asset in assets],
        aave.RESERVES: [_reserve(number, asset, positions, lent_usd) for number, asset in enumerate(assets)],
        aave.EMODES: [],
        aave.EMODE_RESERVES: [],
        aave.ACCOUNTS: [{"market": MARKET, "account": name, "emode": 0} for name in sorted(accounts)],
        aave.POSITIONS: positions,
        v2.POOLS: [_pair(n, pool, by_symbol) for n, pool in enumerate(pools) if pool.fee_pips is None],
        v3.POOLS: [_v3(n, pool, by_symbol)[0] for n, pool in enumerate(pools) if pool.fee_pips is not None],
        v3.TICKS: [
            row for n, pool in enumerate(pools) if pool.fee_pips is not None for row in _v3(n, pool, by_symbol)[1]
        ],
    }
    return Snapshot(
        chain_id=31337,
        block_number=17,
        block_hash="0x11",
        timestamp=START,
        origin="sample",
        notes=("made by hand",),
        markets=(Market(MARKET, aave.PROTOCOL, version),),
        adapters={aave.PROTOCOL: aave.ADAPTER},
        tables={schema.name: Table.from_rows(schema, content) for schema, content in rows.items()},
    )


def with_rates(assets: Sequence[Asset], **borrow_rates: float) -> tuple[Asset, ...]:
    """The assets with other borrow rates (a year), by symbol."""
    return tuple(replace(asset, borrow_rate=borrow_rates.get(asset.symbol, asset.borrow_rate)) for asset in assets)


def scaled(amount: float, asset: Asset, index: int) -> int:
    return round(amount * asset.unit) * RAY // index


def _positions(name: str, account: Account, assets: Sequence[Asset]) -> list[dict[str, Any]]:
    return [
        {
            "market": MARKET,
            "account": name,
            "token": asset.address,
            "supplied_scaled": scaled(account.supplied.get(asset.symbol, 0.0), asset, asset.income_index),
            "debt_scaled": scaled(account.debt.get(asset.symbol, 0.0), asset, asset.debt_index),
            "collateral": asset.symbol in account.supplied,
            "borrowing": asset.symbol in account.debt,
        }
        for asset in assets
        if asset.symbol in account.supplied or asset.symbol in account.debt
    ]


def _oracle(asset: Asset) -> dict[str, Any]:
    return {
        "market": MARKET,
        "token": asset.address,
        "numeraire": "",
        "feed": "0xfeed" + asset.address[2:],
        "description": f"{asset.symbol} / USD",
        "price_raw": asset.price_raw,
        "unit_raw": 10**8,
        "published_at": START - asset.published_ago,
    }


def _reserve(number: int, asset: Asset, positions: Sequence[Mapping[str, Any]], lent_usd: float) -> dict[str, Any]:
    own = [row for row in positions if row["token"] == asset.address]
    debt_scaled = sum(row["debt_scaled"] for row in own)
    supplied = sum(row["supplied_scaled"] for row in own) * asset.income_index // RAY
    debt = debt_scaled * asset.debt_index // RAY
    supplied += debt + round(lent_usd / asset.price_usd * asset.unit)
    rate = round(asset.borrow_rate * 10**9) * 10**18
    zeros = ("deficit_raw", "isolated_debt", "debt_ceiling", "grace_until", "supply_cap", "borrow_cap", "base_rate_ray")
    return dict.fromkeys(zeros, 0) | {
        "market": MARKET,
        "token": asset.address,
        "id": number,
        "a_token": "",
        "debt_token": "",
        "liquidity_index_ray": asset.income_index,
        "borrow_index_ray": asset.debt_index,
        "liquidity_rate_ray": rate // 3,
        "borrow_rate_ray": rate,
        "last_update": START - 12 * (number + 1),
        "supply_scaled": supplied * RAY // asset.income_index,
        "debt_scaled": debt_scaled,
        "liquidity_raw": supplied - debt,
        "treasury_accrued_scaled": 1_000_003 + number,
        "treasury_scaled": 2_000_003 + number,
        "unit": asset.unit,
        "price_raw": asset.price_raw,
        "ltv_bps": asset.ltv,
        "threshold_bps": asset.threshold,
        "bonus_bps": asset.bonus,
        "reserve_factor_bps": 1700 + 100 * number,
        "fee_bps": asset.fee,
        "active": True,
        "paused": False,
        "optimal_usage_ray": (80 + number) * 10**25,
        "slope1_ray": (4 + number) * 10**25 if asset.borrow_rate else 0,
        "slope2_ray": (60 + number) * 10**25 if asset.borrow_rate else 0,
        "frozen": False,
        "borrowing_enabled": True,
    }


def _sides(number: int, pool: Pool, assets: Mapping[str, Asset]) -> tuple[dict[str, Any], Asset, Asset]:
    first, second = sorted((assets[pool.base], assets[pool.quote]), key=lambda asset: asset.address)
    return {"pool": pool_name(number), "token0": first.address, "token1": second.address}, first, second


def _pair(number: int, pool: Pool, assets: Mapping[str, Asset]) -> dict[str, Any]:
    names, first, second = _sides(number, pool, assets)
    amounts = (round(pool.depth_usd / asset.price_usd * asset.unit) for asset in (first, second))
    return names | dict(zip(("reserve0_raw", "reserve1_raw"), amounts, strict=True))


def _v3(number: int, pool: Pool, assets: Mapping[str, Asset]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    names, first, second = _sides(number, pool, assets)
    fee = pool.fee_pips or 0
    sqrt_price = isqrt((first.price_raw * second.unit << 192) // (second.price_raw * first.unit))
    tick = tick_at(sqrt_price)
    spacing = SPACING[fee]
    lower = (tick - pool.width) // spacing * spacing
    upper = (tick + pool.width) // spacing * spacing + spacing
    amount1 = round(pool.depth_usd / second.price_usd * second.unit)
    liquidity = (amount1 << 96) // (sqrt_price - sqrt_price_at_tick(lower))
    row = names | {
        "fee_pips": fee,
        "tick_spacing": spacing,
        "sqrt_price_x96": sqrt_price,
        "tick": tick,
        "liquidity": liquidity,
        "fee_protocol": 0,
    }
    ticks = [{"pool": row["pool"], "tick": t, "liquidity_net": n} for t, n in ((lower, liquidity), (upper, -liquidity))]
    return row, ticks


def tick_at(sqrt_price: int) -> int:
    low, high = -887272, 887271
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sqrt_price_at_tick(middle) <= sqrt_price else (low, middle - 1)
    return low


# --- scenarios ------------------------------------------------------------------------------------------------------

STEP_S = 60


def make_scenario(moves: Mapping[str, float | Sequence[float]] | None = None, **content: Any) -> Scenario:
    """A scenario in which each token's price is multiplied by a factor in the first step, or takes a factor a step.

    Oracles answer at once, pools are arbitraged at once, liquidators pay nothing, gas prices stay and sales move no
    outside price, or for good, unless `content` says otherwise.
    """
    paths = []
    for token, factors in (moves or {}).items():
        values = [1.0, *([factors] if isinstance(factors, int | float) else factors)]
        paths.append({"tokens": [token], "seconds": [STEP_S * n for n in range(len(values))], "values": values})
    defaults: dict[str, Any] = {
        "name": "by hand",
        "step_s": STEP_S,
        "steps": 2,
        "prices": paths,
        "oracles": {"deviation": 0.0},
    }
    liquidators = {"congestion": 0.0} | content.pop("liquidators", {"gas_usd": 0.0, "flash_fee": 0.0})
    venues = {"impact": 0.0, "permanent": 1.0, "arbitrage_half_life_s": 0.0} | content.pop("venues", {})
    return scenario_from(defaults | content | {"liquidators": liquidators, "venues": venues}, "test")


@dataclass(frozen=True)
class Played:
    """A cascade that has run: the book as it is now, the book as it was, and what happened."""

    book: Book
    before: Book
    record: Record


def play(snapshot: Snapshot, scenario: Scenario, more: Callable[[], Sequence[Venue]] = tuple) -> Played:
    """Run a scenario with the state kept in reach; `more` makes pools that the snapshot does not have."""
    book, before = open_book(snapshot), open_book(snapshot)
    book.venues += more()
    oracles = snapshot.tables["oracles"]
    published = dict(zip(oracles.texts("token"), oracles.ints("published_at"), strict=True))
    times = [[published[token] for token in market.tokens] for market in book.markets]
    return Played(book, before, Cascade(book, scenario, times).run())
