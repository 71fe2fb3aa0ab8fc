"""Books without anything that a formula leaves out: indices of one, no interest, no protocol fee, prices of one dollar.

COL is held and OWED is owed, unless a test says otherwise; what a test wants of them it states in shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chain.snapshot import ORACLES, TOKENS, Market, Snapshot
from chain.tables import Schema, Table
from protocols.amm.uniswap_v2 import tables as v2
from protocols.amm.uniswap_v3 import tables as v3
from protocols.lending.compound_v2 import tables as compound
from simulator.run import Run
from tests.simulator.books import RAY, START, Account, Asset, Pool, make_snapshot

WAD = 10**18
DECIMALS = 12
FREE: dict[str, Any] = {"gas_usd": 0.0, "flash_fee": 0.0}
FRICTIONLESS: dict[str, Any] = FREE | {"sell": "outside"}
"""Liquidators who sell any amount at the market price, at no cost."""
NOBODY: dict[str, Any] = FRICTIONLESS | {"minimum_profit_usd": 1e15}
"""No liquidators."""


def asset(
    symbol: str, *, threshold: float = 0.8, bonus: float = 1.05, price_usd: float = 1.0, decimals: int = DECIMALS
) -> Asset:
    """A reserve of an Aave market; `threshold` and `bonus` (1.05 = 5 %) are rounded to basis points."""
    bps = round(threshold * 10_000)
    return Asset(symbol, f"0x{symbol.lower()}", decimals, price_usd, bps, bps, round(bonus * 10_000), 0, RAY, RAY, 0)


def aave(
    accounts: Mapping[str, tuple[float, float]],
    *,
    threshold: float = 0.8,
    bonus: float = 1.05,
    version: str = "3.6",
    price_usd: float = 1.0,
    pools: Sequence[Pool] = (),
    lent_usd: float = 1e12,
) -> Snapshot:
    """An Aave v3 market in which each account holds so much COL, at `price_usd`, and owes so much OWED."""
    assets = (asset("COL", threshold=threshold, bonus=bonus, price_usd=price_usd), asset("OWED"))
    positions = {name: Account({"COL": held}, {"OWED": owed}) for name, (held, owed) in accounts.items()}
    return make_snapshot(positions, pools, assets, version=version, lent_usd=lent_usd)


def without_fee(snapshot: Snapshot) -> Snapshot:
    """The same with Uniswap v3 pools that charge nothing: over the whole range, the constant product of textbooks."""
    rows = [row | {"fee_pips": 0} for row in snapshot.tables[v3.POOLS.name].rows()]
    return replace(snapshot, tables=dict(snapshot.tables) | {v3.POOLS.name: Table.from_rows(v3.POOLS, rows)})


def constant_product(base: str, quote: str, depth_usd: float) -> Pool:
    """A Uniswap v3 pool over the whole range, for :func:`without_fee`."""
    return Pool(base, quote, depth_usd, 100, width=800_000)


def compound_v2(
    accounts: Mapping[str, tuple[float, float]],
    *,
    factor: float = 0.75,
    price_usd: float = 1.0,
    **settings: float,
) -> Snapshot:
    """A Compound v2 market in which each account holds so much COL, at `price_usd`, and owes so much OWED."""
    assets = (asset("COL", threshold=factor, price_usd=price_usd), asset("OWED"))
    positions = {name: Account({"COL": held}, {"OWED": owed}) for name, (held, owed) in accounts.items()}
    return compound_market(positions, assets, **settings)


def compound_market(
    accounts: Mapping[str, Account],
    assets: Sequence[Asset],
    *,
    incentive: float = 1.08,
    close_factor: float = 0.5,
    seize_share: float = 0.0,
    rate: float = 0.0,
    cash: float = 1e9,
) -> Snapshot:
    """A Compound v2 market of these assets, thresholds being collateral factors.

    A claim is worth one unit at the start, so that nothing but the last unit is lost to its exchange rate; `rate` is
    a year's interest on every debt, of which reserves keep a tenth, and `cash` is dollars of others' money.
    """
    market = {"market": "comptroller"}
    positions: list[dict[str, Any]] = [
        market
        | {
            "account": name,
            "token": each.address,
            "claims": round(account.supplied.get(each.symbol, 0.0) * each.unit),
            "principal_raw": (owed := round(account.debt.get(each.symbol, 0.0) * each.unit)),
            "snapshot_index_wad": WAD if owed else 0,
            "entered": True,
        }
        for name, account in sorted(accounts.items())
        for each in assets
        if each.symbol in account.supplied or each.symbol in account.debt
    ]
    per_block = round(rate * WAD * 12 / (365 * 86_400))
    listed = []
    for number, each in enumerate(assets):
        own = [row for row in positions if row["token"] == each.address]
        lent, borrowed = round(cash / each.price_usd * each.unit), sum(row["principal_raw"] for row in own)
        supplied = sum(row["claims"] for row in own)
        listed.append(
            dict.fromkeys(("reserves_raw", "slope1_wad", "base2_wad", "slope2_wad", "slope3_wad"), 0)
            | market
            | {
                "token": each.address,
                "id": number,
                "claim_token": f"0xc{number}",
                "unit": each.unit,
                "price_raw": round(each.price_usd * 10 ** (36 - each.decimals)),
                "cash_raw": lent + supplied,
                "borrows_raw": borrowed,
                "claims": lent + supplied + borrowed,
                "index_wad": WAD,
                "accrued_block": 17,
                "initial_rate_wad": WAD,
                "reserve_factor_wad": WAD // 10,
                "seize_share_wad": round(seize_share * WAD),
                "listed": True,
                "borrow_paused": False,
                "base_wad": per_block,
                "kink1_wad": 2**256 - 1,
                "kink2_wad": 2**256 - 1,
                "most_usage_wad": 2**256 - 1,
                "collateral_factor_wad": each.threshold * WAD // 10_000,
            }
        )
    settings = {
        "close_factor_wad": round(close_factor * WAD),
        "incentive_wad": round(incentive * WAD),
        "seize_paused": False,
    }
    content: dict[Schema, list[dict[str, Any]]] = {
        TOKENS: [{"token": each.address, "symbol": each.symbol, "decimals": each.decimals} for each in assets],
        ORACLES: [
            market
            | {
                "token": row["token"],
                "numeraire": "",
                "feed": "0xfeed" + row["token"][2:],
                "description": "",
                "price_raw": row["price_raw"],
                "unit_raw": 10**36 // row["unit"],
                "published_at": START,
            }
            for row in listed
        ],
        compound.SETTINGS: [market | settings],
        compound.MARKETS: listed,
        compound.ACCOUNTS: [market | {"account": name} for name in sorted(accounts)],
        compound.POSITIONS: positions,
        v2.POOLS: [],
        v3.POOLS: [],
        v3.TICKS: [],
    }
    return Snapshot(
        chain_id=1,
        block_number=17,
        block_hash="0x11",
        timestamp=START,
        origin="sample",
        notes=("made by hand",),
        markets=(Market("comptroller", compound.PROTOCOL, "2"),),
        adapters={compound.PROTOCOL: compound.ADAPTER},
        tables={schema.name: Table.from_rows(schema, rows) for schema, rows in content.items()},
    )


def together(first: Snapshot, second: Snapshot) -> Snapshot:
    """Two snapshots of one block as one: the markets of both, over the same tokens and the first one's pools."""
    tables = dict(second.tables) | dict(first.tables)
    oracles = [*first.tables[ORACLES.name].rows(), *second.tables[ORACLES.name].rows()]
    return replace(
        first,
        chain_id=second.chain_id,
        markets=(*first.markets, *second.markets),
        adapters=dict(first.adapters) | dict(second.adapters),
        tables=tables | {ORACLES.name: Table.from_rows(ORACLES, oracles)},
    )


# --- what came of it --------------------------------------------------------------------------------------------


def uncovered_usd(run: Run) -> float:
    """Debt that nobody will repay: what the protocol wrote off, and what is owed beyond the collateral's worth."""
    accounts = run.tables["accounts"]
    owed, held = accounts.floats("debt_after_usd"), accounts.floats("collateral_after_usd")
    beyond = sum(max(0.0, debt - collateral) for debt, collateral in zip(owed, held, strict=True))
    return float(beyond + accounts.floats("bad_debt_realised_usd").sum())


def final(run: Run, column: str, account: str = "a") -> float:
    """A figure of an account at the end."""
    return next(float(row[column]) for row in run.tables["accounts"].rows() if row["account"] == account)


def last(run: Run, column: str) -> float:
    """A figure of the last step."""
    return float(run.tables["steps"].rows()[-1][column])
