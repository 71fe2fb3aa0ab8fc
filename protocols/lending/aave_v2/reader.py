"""Reads an Aave v2 pool at a pinned block: reserves, oracle prices, and every account with debt.

Accounts are found from the pool's ``Borrow`` events: debt begins with one (``onBehalfOf``), and debt tokens cannot be
transferred. Source of the layouts: DataTypes.sol and ReserveConfiguration.sol of aave/protocol-v2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from chain.snapshot import ORACLES, TOKENS, Market
from protocols.arithmetic import ray_mul
from protocols.asking import NOBODY, Source, bits, each, pairs
from protocols.lending.aave_v2 import tables
from protocols.lending.aave_v2.versions import V20, version_of
from protocols.reading import FEED_COLUMNS, Reading, Rows, ask_feeds, oracle_rows, token_rows

# keccak256("Borrow(address,address,address,uint256,uint256,uint256,uint16)")
BORROW = "0xc6a898309e823ee50bac64e45ca8adba6690e99e7841c45d754e2a38e9019d9b"
VERIFIED_REVISION = 2

_RESERVE_DATA = (
    "getReserveData(address)"
    "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,address,address,address,address,uint8)"
)
_RATES = {
    "optimal_usage_ray": "OPTIMAL_UTILIZATION_RATE",
    "base_rate_ray": "baseVariableBorrowRate",
    "slope1_ray": "variableRateSlope1",
    "slope2_ray": "variableRateSlope2",
}
"""Functions of a reserve's interest rate strategy, each in ray."""

_SCALED = "scaledBalanceOf(address)(uint256)"


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read one pool.

    Parameters
    ----------
    node, block
        Where from.
    deployment
        Its address book entry; needs the address ``provider`` (LendingPoolAddressesProvider).
    progress
        Makes a progress callback for a part of the work.

    Raises
    ------
    UnsupportedError
        If there are no rules for the version, the pool is paused, or its oracle's base currency is neither the US
        dollar nor one of its reserves.
    NodeError
        If the node does not answer.
    """
    return _Reader(Source(node, block, deployment, progress)).reading()


class _Reader:
    def __init__(self, source: Source) -> None:
        deployment = source.deployment
        self.source, self.name = source, deployment.name
        self.version = version_of(deployment.version or V20).name
        provider = deployment.addresses["provider"]
        self.pool, self.oracle = source.read(
            [Call(provider, "getLendingPool()(address)"), Call(provider, "getPriceOracle()(address)")]
        )
        self.revision, self.tokens, paused = source.read(
            [
                Call(self.pool, "LENDINGPOOL_REVISION()(uint256)"),
                Call(self.pool, "getReservesList()(address[])"),
                Call(self.pool, "paused()(bool)"),
            ]
        )
        if paused:
            raise UnsupportedError(
                f"{self.name}: the pool is paused at block {source.block.number}, so that nobody can be liquidated, "
                "which is not modelled; choose another block"
            )
        self.base_token, self.base_unit = self._base_currency()

    def reading(self) -> Reading:
        """Everything, as rows of the snapshot's tables."""
        pool = self._pool_columns()
        contracts = self._contract_columns(pool)
        reserves = [self._reserve(i, pool, contracts) for i in range(len(self.tokens))]
        accounts, positions, notes = self._accounts(reserves, self._strange(pool, contracts))
        if self.revision != VERIFIED_REVISION:
            notes.append(
                f"{self.name}: its pool is of revision {self.revision}; the rules were compared with "
                f"contracts of revision {VERIFIED_REVISION}."
            )
        addresses = {"pool": self.pool, "oracle": self.oracle, "provider": self.source.deployment.addresses["provider"]}
        base = {"market": self.name, "base_token": self.base_token, "base_unit": self.base_unit}
        return Reading(
            (Market(self.name, tables.PROTOCOL, self.version, addresses),),
            {
                TOKENS: token_rows(self.source, self.tokens, [bits(data[0], 48, 8) for data in pool["data"]]),
                ORACLES: oracle_rows(
                    self.name,
                    self.tokens,
                    pool["feed"],
                    pool["price"],
                    contracts,
                    unit_raw=self.base_unit,
                    numeraire=self.base_token,
                ),
                tables.POOLS: [base],
                tables.RESERVES: reserves,
                tables.ACCOUNTS: accounts,
                tables.POSITIONS: positions,
            },
            notes,
        )

    # --- what is asked ------------------------------------------------------------------------------------------

    def _base_currency(self) -> tuple[str, int]:
        """The token in whose smallest units prices are (empty for US dollars), and how many of them make one.

        Early oracles are in wei of the WETH they name, later ones in a base currency, which for the US dollar is 0.
        """
        names = ("WETH()(address)", "BASE_CURRENCY()(address)", "BASE_CURRENCY_UNIT()(uint256)")
        weth, base, unit = self.source.read([Call(self.oracle, name) for name in names], require=False)
        if not isinstance(weth, CallFailed):
            base, unit = weth, 10**18
        for failed in (base, unit):
            if isinstance(failed, CallFailed):
                raise failed
        if base == NOBODY:
            return "", int(unit)
        if base not in self.tokens:
            raise UnsupportedError(
                f"{self.name}: its oracle {self.oracle} has prices in {base}, which is none of its reserves"
            )
        return str(base), int(unit)

    def _pool_columns(self) -> dict[str, list[Any]]:
        """What the pool and its oracle say of each reserve."""
        pool, oracle = self.pool, self.oracle
        return self.source.columns(
            {
                "data": each(pool, _RESERVE_DATA, self.tokens),
                "income": each(pool, "getReserveNormalizedIncome(address)(uint256)", self.tokens),
                "debt_index": each(pool, "getReserveNormalizedVariableDebt(address)(uint256)", self.tokens),
                "feed": each(oracle, "getSourceOfAsset(address)(address)", self.tokens),
                "price": each(oracle, "getAssetPrice(address)(uint256)", self.tokens),
            }
        )

    def _contract_columns(self, pool: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """What each reserve's own contracts say: its tokens, its rate strategy, its price feed."""
        a_tokens, stable, debt_tokens, strategies = ([row[i] for row in pool["data"]] for i in (7, 8, 9, 10))
        columns = {
            "cash": pairs(self.tokens, "balanceOf(address)(uint256)", a_tokens),
            "supply": [Call(t, "scaledTotalSupply()(uint256)") for t in a_tokens],
            "claims": [Call(t, "totalSupply()(uint256)") for t in a_tokens],
            "debt": [Call(t, "scaledTotalSupply()(uint256)") for t in debt_tokens],
            "owed": [Call(t, "totalSupply()(uint256)") for t in debt_tokens],
            "stable": [Call(t, "getSupplyData()(uint256,uint256,uint256,uint40)") for t in stable],
            "treasury": [Call(t, "RESERVE_TREASURY_ADDRESS()(address)") for t in a_tokens],
        } | ask_feeds(pool["feed"])
        for name, function in _RATES.items():
            columns[name] = [Call(s, f"{function}()(uint256)") for s in strategies]
        found = self.source.columns(columns, may_fail=FEED_COLUMNS)
        return found | self.source.columns({"treasury_scaled": pairs(a_tokens, _SCALED, found["treasury"])})

    # --- what becomes of it -------------------------------------------------------------------------------------

    def _strange(self, pool: Mapping[str, list[Any]], contracts: Mapping[str, list[Any]]) -> set[int]:
        """Rows of the reserves whose tokens follow rules of their own, as those of AMPL do, which rebase: their totals
        are not what the pool's indices make of them."""
        columns = zip(
            *(contracts[name] for name in ("supply", "claims", "debt", "owed")),
            *(pool[name] for name in ("income", "debt_index")),
            strict=True,
        )
        return {
            i
            for i, (supply, claims, debt, owed, income, debt_index) in enumerate(columns)
            if ray_mul(supply, income) != claims or ray_mul(debt, debt_index) != owed
        }

    def _reserve(self, i: int, pool: Mapping[str, list[Any]], contracts: Mapping[str, list[Any]]) -> dict[str, Any]:
        data = pool["data"][i]
        config = data[0]
        principal, _, average_rate, since = contracts["stable"][i]
        return {
            "market": self.name,
            "token": self.tokens[i],
            "id": data[11],
            "a_token": data[7],
            "stable_debt_token": data[8],
            "debt_token": data[9],
            "liquidity_index_ray": data[1],
            "borrow_index_ray": data[2],
            "liquidity_rate_ray": data[3],
            "borrow_rate_ray": data[4],
            "last_update": data[6],
            "supply_scaled": contracts["supply"][i],
            "debt_scaled": contracts["debt"][i],
            "stable_principal_raw": principal,
            "stable_rate_ray": average_rate,
            "stable_since": since,
            "liquidity_raw": contracts["cash"][i],
            "treasury_scaled": contracts["treasury_scaled"][i],
            "unit": 10 ** bits(config, 48, 8),
            "price_raw": pool["price"][i],
            "ltv_bps": bits(config, 0, 16),
            "threshold_bps": bits(config, 16, 16),
            "bonus_bps": bits(config, 32, 16),
            "reserve_factor_bps": bits(config, 64, 16),
            "active": bool(bits(config, 56, 1)),
            **{name: contracts[name][i] for name in _RATES},
            "frozen": bool(bits(config, 57, 1)),
            "borrowing_enabled": bool(bits(config, 58, 1)),
        }

    # --- accounts -----------------------------------------------------------------------------------------------

    def _accounts(self, reserves: Rows, strange: set[int]) -> tuple[Rows, Rows, list[str]]:
        """Rows of the accounts that owe something, and of their balances; and who is left out."""
        candidates = self.source.accounts(self.pool, [BORROW], place=2)
        configs = self.source.read(
            each(self.pool, "getUserConfiguration(address)(uint256)", candidates), what="reading accounts"
        )
        # Two bits a reserve: whether the account borrows it, and whether it uses it as collateral.
        borrows = sum(1 << 2 * row["id"] for row in reserves)
        flags = {a: c for a, c in zip(candidates, configs, strict=True) if c & borrows}
        wanted = [(a, r) for a in flags for r in range(len(reserves))]
        owing = [(a, r) for a, r in wanted if flags[a] >> 2 * reserves[r]["id"] & 1]
        calls = [Call(reserves[r]["a_token"], _SCALED, (a,)) for a, r in wanted]
        for token, function in (
            ("debt_token", _SCALED),
            ("stable_debt_token", "principalBalanceOf(address)(uint256)"),
            ("stable_debt_token", "getUserStableRate(address)(uint256)"),
            ("stable_debt_token", "getUserLastUpdated(address)(uint40)"),
        ):
            calls += [Call(reserves[r][token], function, (a,)) for a, r in owing]
        amounts = iter(self.source.read(calls, what="reading balances"))
        supplied = {key: next(amounts) for key in wanted}
        debts = [{key: next(amounts) for key in owing} for _ in range(4)]
        # A liquidation leaves the borrowing flag where it pays the whole debt.
        in_debt = {a for a, r in owing if debts[0][a, r] or debts[1][a, r]}
        left_out = {a for a, r in wanted if r in strange and flags[a] >> 2 * reserves[r]["id"] & 3} & in_debt
        accounts = [a for a in flags if a in in_debt - left_out]
        kept = set(accounts)
        positions = []
        for account, reserve in wanted:
            pair = flags[account] >> 2 * reserves[reserve]["id"] & 3
            if account in kept and (pair or supplied[account, reserve]):
                scaled, principal, rate, since = (found.get((account, reserve), 0) for found in debts)
                positions.append(
                    {
                        "market": self.name,
                        "account": account,
                        "token": self.tokens[reserve],
                        "supplied_scaled": supplied[account, reserve],
                        "debt_scaled": scaled,
                        "stable_principal_raw": principal,
                        "stable_rate_ray": rate,
                        "stable_since": since,
                        "collateral": bool(pair >> 1),
                        "borrowing": bool(pair & 1),
                    }
                )
        notes = []
        if left_out:
            tokens = ", ".join(self.tokens[i] for i in sorted(strange))
            notes.append(
                f"{self.name}: {len(left_out)} of {len(in_debt)} accounts with debt are left out: they owe "
                f"or use as collateral {tokens}, whose balances follow rules of their own that are not modelled."
            )
        return [{"market": self.name, "account": account} for account in accounts], positions, notes
