"""Reads an Aave v3 pool at a pinned block: reserves, e-modes, oracle prices, and every account with debt.

Accounts are found from the pool's ``Borrow`` events: debt begins with one (``onBehalfOf``), and debt tokens cannot be
transferred. Source of the layouts: DataTypes.sol and ReserveConfiguration.sol of aave-v3-origin and aave-v3-core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from chain.snapshot import ORACLES, TOKENS, Market
from protocols.asking import NOBODY, Source, bits, each, pairs
from protocols.lending.aave_v3 import tables
from protocols.lending.aave_v3.versions import V31, V32, V33, V34, V36, V37, Version, version_of
from protocols.reading import FEED_COLUMNS, Reading, Rows, ask_feeds, oracle_rows, token_rows

REVISIONS = {
    1: "3.0",
    2: "3.0",
    3: "3.0",
    4: "3.1",
    5: "3.2",
    6: "3.2",
    7: "3.3",
    8: "3.4",
    9: "3.5",
    10: "3.6",
    11: "3.7",
}
"""The version for each POOL_REVISION of Aave's own deployments."""

# keccak256("Borrow(address,address,address,uint256,uint8,uint256,uint16)")
BORROW = "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
_CATEGORIES = 255

_EARLY_RATES = {
    "optimal_usage_ray": "OPTIMAL_USAGE_RATIO",
    "base_rate_ray": "getBaseVariableBorrowRate",
    "slope1_ray": "getVariableRateSlope1",
    "slope2_ray": "getVariableRateSlope2",
}
"""Functions of the strategies before 3.1, each in ray; later ones answer all at once in basis points."""

_RESERVE_DATA = (
    "getReserveData(address)"
    "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,uint128,uint128,uint128)"
)


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read one pool.

    Parameters
    ----------
    node, block
        Where from.
    deployment
        Its address book entry; needs the address ``provider`` (PoolAddressesProvider).
    progress
        Makes a progress callback for a part of the work.

    Raises
    ------
    UnsupportedError
        For a version, or a mechanism in use, that is not modelled: stable-rate debt, a closed sequencer sentinel.
    NodeError
        If the node does not answer.
    """
    return _Reader(Source(node, block, deployment, progress)).reading()


class _Reader:
    def __init__(self, source: Source) -> None:
        deployment = source.deployment
        self.source, self.name = source, deployment.name
        provider = deployment.addresses["provider"]
        self.pool, self.oracle, sentinel = source.read(
            [
                Call(provider, "getPool()(address)"),
                Call(provider, "getPriceOracle()(address)"),
                Call(provider, "getPriceOracleSentinel()(address)"),
            ]
        )
        revision, self.tokens, self.unit, *allowed = source.read(
            [
                Call(self.pool, "POOL_REVISION()(uint256)"),
                Call(self.pool, "getReservesList()(address[])"),
                Call(self.oracle, "BASE_CURRENCY_UNIT()(uint256)"),
                *([Call(sentinel, "isLiquidationAllowed()(bool)")] if sentinel != NOBODY else []),
            ]
        )
        self.version = self._version(revision)
        if not all(allowed):
            raise UnsupportedError(
                f"{self.name}: the sequencer sentinel {sentinel} blocks liquidations at block {source.block.number}, "
                "which is not modelled; choose a block outside its grace period"
            )

    def reading(self) -> Reading:
        """Everything, as rows of the snapshot's tables."""
        pool = self._pool_columns()
        data = pool["data"]
        contracts = self._contract_columns(data, pool["feed"])
        self._refuse_stable_debt(data, contracts["stable_debt"])
        strange = self._strange_debts(data, contracts) if self.version.code < V34 else set()
        reserves = [self._reserve(i, pool, contracts, i in strange) for i in range(len(self.tokens))]
        categories, members = self._emodes(pool)
        accounts, positions, notes = self._accounts(reserves, strange)
        addresses = {"pool": self.pool, "oracle": self.oracle, "provider": self.source.deployment.addresses["provider"]}
        return Reading(
            (Market(self.name, tables.PROTOCOL, self.version.name, addresses),),
            {
                TOKENS: token_rows(self.source, self.tokens, [bits(row[0], 48, 8) for row in data]),
                ORACLES: oracle_rows(
                    self.name, self.tokens, pool["feed"], pool["price"], contracts, unit_raw=self.unit
                ),
                tables.RESERVES: reserves,
                tables.EMODES: categories,
                tables.EMODE_RESERVES: members,
                tables.ACCOUNTS: accounts,
                tables.POSITIONS: positions,
            },
            notes,
        )

    def _version(self, revision: int) -> Version:
        """The version of the contracts: as the address book says, else by the pool's revision."""
        name = self.source.deployment.version or REVISIONS.get(revision)
        if name is None:
            raise UnsupportedError(
                f"{self.name}: POOL_REVISION {revision} is of no Aave v3 version known here; "
                "where the deployment is a fork, give its version in the deployments file"
            )
        return version_of(name)

    # --- what is asked ------------------------------------------------------------------------------------------

    def _pool_columns(self) -> dict[str, list[Any]]:
        """What the pool and its oracle say of each reserve, and of each e-mode category."""
        code, pool, oracle = self.version.code, self.pool, self.oracle
        columns = {
            "data": each(pool, _RESERVE_DATA, self.tokens),
            "feed": each(oracle, "getSourceOfAsset(address)(address)", self.tokens),
            "price": each(oracle, "getAssetPrice(address)(uint256)", self.tokens),
        }
        if code >= V31:
            columns["cash"] = each(pool, "getVirtualUnderlyingBalance(address)(uint128)", self.tokens)
            columns["grace"] = each(pool, "getLiquidationGracePeriod(address)(uint40)", self.tokens)
        if code >= V33:
            columns["deficit"] = each(pool, "getReserveDeficit(address)(uint256)", self.tokens)
        ids = range(1, _CATEGORIES + 1)
        if code < V32:
            columns["emode"] = each(pool, "getEModeCategoryData(uint8)((uint16,uint16,uint16,address,string))", ids)
        else:
            columns["emode"] = each(pool, "getEModeCategoryCollateralConfig(uint8)((uint16,uint16,uint16))", ids)
        return self.source.columns(columns)

    def _contract_columns(self, data: Sequence[Any], feeds: Sequence[str]) -> dict[str, list[Any]]:
        """What each reserve's own contracts say: its tokens, its rate strategy, its price feed."""
        a_tokens, stable, debt_tokens, strategies = ([row[i] for row in data] for i in (8, 9, 10, 11))
        columns = {
            "supply": [Call(t, "scaledTotalSupply()(uint256)") for t in a_tokens],
            "debt": [Call(t, "scaledTotalSupply()(uint256)") for t in debt_tokens],
            "treasury": [Call(t, "RESERVE_TREASURY_ADDRESS()(address)") for t in a_tokens],
            "stable_debt": [Call(t, "totalSupply()(uint256)") for t in stable if t != NOBODY],
        } | ask_feeds(feeds)
        if self.version.code < V34:
            columns["discount"] = [Call(t, "getDiscountToken()(address)") for t in debt_tokens]
        if self.version.code < V31:
            columns["cash"] = pairs(self.tokens, "balanceOf(address)(uint256)", a_tokens)
            for name, function in _EARLY_RATES.items():
                columns[name] = [Call(s, f"{function}()(uint256)") for s in strategies]
        else:
            rates = "getInterestRateDataBps(address)((uint16,uint32,uint32,uint32))"
            columns["rates"] = pairs(strategies, rates, self.tokens)
        found = self.source.columns(columns, may_fail=(*FEED_COLUMNS, "stable_debt", "discount", "rates"))
        scaled = "scaledBalanceOf(address)(uint256)"
        return found | self.source.columns({"treasury_scaled": pairs(a_tokens, scaled, found["treasury"])})

    # --- what becomes of it -------------------------------------------------------------------------------------

    def _refuse_stable_debt(self, data: Sequence[Any], supplies: Sequence[Any]) -> None:
        with_token = [token for token, row in zip(self.tokens, data, strict=True) if row[9] != NOBODY]
        for token, supply in zip(with_token, supplies, strict=True):
            if not isinstance(supply, CallFailed) and supply:
                raise UnsupportedError(f"{self.name}: reserve {token} has stable-rate debt, which is not modelled")

    def _strange_debts(self, data: Sequence[Any], contracts: Mapping[str, list[Any]]) -> set[int]:
        """Before 3.4: rows of the reserves whose debt grows by other rules than the pool's. GHO's has discounts for
        holders of another token, and reserves whose cash the pool does not account for."""
        uncounted = self.version.code >= V31
        return {
            i
            for i, (row, discount) in enumerate(zip(data, contracts["discount"], strict=True))
            if not isinstance(discount, CallFailed) or (uncounted and not bits(row[0], 252, 1))
        }

    def _reserve(
        self, i: int, pool: Mapping[str, list[Any]], contracts: Mapping[str, list[Any]], strange: bool
    ) -> dict[str, Any]:
        data = pool["data"][i]
        config = data[0]
        isolation = self.version.code < V37

        def optional(name: str) -> int:
            return int(pool[name][i]) if name in pool else 0

        return {
            "market": self.name,
            "token": self.tokens[i],
            "id": data[7],
            "a_token": data[8],
            "debt_token": data[10],
            "liquidity_index_ray": data[1],
            "borrow_index_ray": data[3],
            "liquidity_rate_ray": data[2],
            "borrow_rate_ray": data[4],
            "last_update": data[6],
            "supply_scaled": contracts["supply"][i],
            "debt_scaled": contracts["debt"][i],
            "liquidity_raw": pool["cash"][i] if "cash" in pool else contracts["cash"][i],
            "treasury_accrued_scaled": data[12],
            "treasury_scaled": contracts["treasury_scaled"][i],
            "deficit_raw": optional("deficit"),
            "isolated_debt": data[14] if isolation else 0,
            "unit": 10 ** bits(config, 48, 8),
            "price_raw": pool["price"][i],
            "ltv_bps": bits(config, 0, 16),
            "threshold_bps": bits(config, 16, 16),
            "bonus_bps": bits(config, 32, 16),
            "reserve_factor_bps": bits(config, 64, 16),
            "fee_bps": bits(config, 152, 16),
            "debt_ceiling": bits(config, 212, 40) if isolation else 0,
            "grace_until": optional("grace"),
            "active": bool(bits(config, 56, 1)),
            "paused": bool(bits(config, 60, 1)),
            **(dict.fromkeys(_EARLY_RATES, 0) if strange else self._rates(i, contracts)),
            "supply_cap": bits(config, 116, 36),
            "borrow_cap": bits(config, 80, 36),
            "frozen": bool(bits(config, 57, 1)),
            "borrowing_enabled": bool(bits(config, 58, 1)),
        }

    def _rates(self, i: int, contracts: Mapping[str, list[Any]]) -> dict[str, int]:
        """A reserve's interest rate strategy, in ray."""
        if "rates" in contracts:
            if isinstance(contracts["rates"][i], CallFailed):
                raise contracts["rates"][i]
            return dict(zip(_EARLY_RATES, (bps * 10**23 for bps in contracts["rates"][i]), strict=True))
        return {name: contracts[name][i] for name in _EARLY_RATES}

    def _emodes(self, pool: Mapping[str, list[Any]]) -> tuple[Rows, Rows]:
        """Rows of the categories in use, and of the reserves in them."""
        used = [category for category, config in enumerate(pool["emode"], start=1) if config[1]]
        if self.version.code < V32:
            return self._early_emodes(used, pool)
        code = self.version.code
        columns = {
            "label": each(self.pool, "getEModeCategoryLabel(uint8)(string)", used),
            "collateral": each(self.pool, "getEModeCategoryCollateralBitmap(uint8)(uint128)", used),
            "borrowable": each(self.pool, "getEModeCategoryBorrowableBitmap(uint8)(uint128)", used),
        }
        if code >= V36:
            columns["ltv_zero"] = each(self.pool, "getEModeCategoryLtvzeroBitmap(uint8)(uint128)", used)
        if code >= V37:
            columns["isolated"] = each(self.pool, "getIsEModeCategoryIsolated(uint8)(bool)", used)
        none: dict[str, list[Any]] = {"ltv_zero": [0] * len(used), "isolated": [False] * len(used)}
        found = none | self.source.columns(columns)
        categories, members = [], []
        for row, category in enumerate(used):
            config = pool["emode"][category - 1]
            categories.append(self._category(category, found["label"][row], config, 0, found["isolated"][row]))
            for token, data in zip(self.tokens, pool["data"], strict=True):
                masks = [bool(found[name][row] >> data[7] & 1) for name in ("collateral", "borrowable", "ltv_zero")]
                if any(masks):
                    members.append(self._member(category, token, *masks))
        return categories, members

    def _early_emodes(self, used: Sequence[int], pool: Mapping[str, list[Any]]) -> tuple[Rows, Rows]:
        """Before 3.2 each reserve names its one category, and a category may have a price source of its own."""
        configs = {category: pool["emode"][category - 1] for category in used}
        sources = sorted({config[3] for config in configs.values()} - {NOBODY})
        prices = self.source.read(each(self.oracle, "getAssetPrice(address)(uint256)", sources))
        price = dict(zip(sources, prices, strict=True))
        categories = [self._category(c, f[4], f[:3], price.get(f[3], 0), False) for c, f in configs.items()]
        own = [(token, bits(data[0], 168, 8)) for token, data in zip(self.tokens, pool["data"], strict=True)]
        return categories, [self._member(c, token, True, True, False) for token, c in own if c in configs]

    def _category(self, category: int, label: str, config: Sequence[int], price: int, isolated: bool) -> dict[str, Any]:
        return {
            "market": self.name,
            "category": category,
            "label": label,
            "ltv_bps": config[0],
            "threshold_bps": config[1],
            "bonus_bps": config[2],
            "price_raw": price,
            "isolated": isolated,
        }

    def _member(self, category: int, token: str, collateral: bool, borrowable: bool, ltv_zero: bool) -> dict[str, Any]:
        return {
            "market": self.name,
            "category": category,
            "token": token,
            "collateral": collateral,
            "borrowable": borrowable,
            "ltv_zero": ltv_zero,
        }

    # --- accounts -----------------------------------------------------------------------------------------------

    def _accounts(self, reserves: Rows, strange: set[int]) -> tuple[Rows, Rows, list[str]]:
        """Rows of the accounts that owe something, and of their balances; and who is left out."""
        candidates = self.source.accounts(self.pool, [BORROW], place=2)
        configs = self.source.read(
            each(self.pool, "getUserConfiguration(address)(uint256)", candidates), what="reading accounts"
        )
        # two bits a reserve: whether the account borrows it, and whether it uses it as collateral
        owes = sum(1 << 2 * row["id"] for row in reserves)
        flags = {a: c for a, c in zip(candidates, configs, strict=True) if c & owes}
        unknown = sum(1 << 2 * reserves[i]["id"] for i in strange)
        accounts = [a for a, c in flags.items() if not c & unknown]
        notes = []
        if len(accounts) < len(flags):
            tokens = ", ".join(self.tokens[i] for i in sorted(strange))
            notes.append(
                f"{self.name}: {len(flags) - len(accounts)} of {len(flags)} accounts are left out: "
                f"they owe {tokens}, whose debt follows rules of its own that are not modelled."
            )
        wanted = [(a, r) for a in accounts for r in range(len(reserves))]
        owing = [(a, r) for a, r in wanted if flags[a] >> 2 * reserves[r]["id"] & 1]
        balance = "scaledBalanceOf(address)(uint256)"
        calls = [Call(reserves[r]["a_token"], balance, (a,)) for a, r in wanted]
        calls += [Call(reserves[r]["debt_token"], balance, (a,)) for a, r in owing]
        calls += each(self.pool, "getUserEMode(address)(uint256)", accounts)
        amounts = iter(self.source.read(calls, what="reading balances"))
        supplied = {key: next(amounts) for key in wanted}
        owed = {key: next(amounts) for key in owing}
        emodes = [next(amounts) for _ in accounts]
        positions = []
        for account, reserve in wanted:
            pair = flags[account] >> 2 * reserves[reserve]["id"] & 3
            if pair or supplied[account, reserve]:
                positions.append(
                    {
                        "market": self.name,
                        "account": account,
                        "token": self.tokens[reserve],
                        "supplied_scaled": supplied[account, reserve],
                        "debt_scaled": owed.get((account, reserve), 0),
                        "collateral": bool(pair >> 1),
                        "borrowing": bool(pair & 1),
                    }
                )
        rows = [{"market": self.name, "account": a, "emode": e} for a, e in zip(accounts, emodes, strict=True)]
        return rows, positions, notes
