"""Reads an Aave v4 spoke at a pinned block, the hubs' assets that it draws on, and every account with debt.

Accounts are found from the spoke's ``Borrow`` events: debt begins with one (``user``), and cannot be transferred. What
is read is put through the rules before it is handed on: where they do not give the contracts' own rates and account
data, the contracts are of another version.

Source of the layouts: ISpoke.sol, IHub.sol, IHubBase.sol, IAaveOracle.sol and IAssetInterestRateStrategy.sol of
aave-v4, tag v0.5.11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chain.calls import Call
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from chain.snapshot import ORACLES, TOKENS, Market, Snapshot
from chain.tables import Table
from protocols.asking import Source, each
from protocols.lending.aave_v4 import tables
from protocols.lending.aave_v4.hub import accrue, drawn_rate
from protocols.lending.aave_v4.versions import V0511, VERSIONS, version_of
from protocols.reading import FEED_COLUMNS, Reading, Rows, ask_feeds, oracle_rows, token_rows

# keccak256("Borrow(uint256,address,address,uint256,uint256)")
BORROW = "0xef18174796a5d2f91d51dc5e907a4d7867bbd6e800f6225168e0453d581d0dcd"
BUNDLE = 500
"""Calls asked for in one bundle."""
REVISION = 1
"""SPOKE_REVISION and HUB_REVISION of version 0.5.11."""
UNIT = 10**8
"""Oracle units in one US dollar: a spoke takes no oracle with other decimals (SpokeUtils.ORACLE_DECIMALS)."""
_BPS_IN_RAY = 10**23

_RESERVE = "getReserve(uint256)((address,address,uint16,uint8,uint24,uint8,uint32))"
_RESERVE_CONFIG = "getReserveConfig(uint256)((uint24,bool,bool,bool,bool))"
_DYNAMIC_CONFIG = "getDynamicReserveConfig(uint256,uint32)((uint16,uint32,uint16))"
_LIQUIDATION_CONFIG = "getLiquidationConfig()((uint128,uint64,uint16))"
_ASSET = (
    "getAsset(uint256)((uint120,uint120,uint8,uint120,uint120,int200,uint120,uint120,uint16,uint120,uint96,uint40,"
    "address,address,address,address,uint200))"
)
_SPOKE = "getSpoke(uint256,address)((uint120,uint120,int200,uint120,uint40,uint40,uint24,bool,bool,uint200))"
_RATES = "getInterestRateData(uint256)((uint16,uint32,uint32,uint32))"
_POSITION = "getUserPosition(uint256,address)((uint120,uint120,int200,uint120,uint32))"
_STATUS = "getUserReserveStatus(uint256,address)(bool,bool)"
_ACCOUNT_DATA = "getUserAccountData(address)((uint256,uint256,uint256,uint256,uint256,uint256,uint256))"


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read one spoke.

    Parameters
    ----------
    node, block
        Where from.
    deployment
        Its address book entry; needs the address ``spoke``.
    progress
        Makes a progress callback for a part of the work.

    Raises
    ------
    UnsupportedError
        For another version, and for a spoke that lists one token from two hubs.
    NodeError
        If the node does not answer.
    """
    return _Reader(Source(node, block, deployment, progress, BUNDLE)).reading()


class _Reader:
    def __init__(self, source: Source) -> None:
        deployment = source.deployment
        self.source, self.name = source, deployment.name
        self.spoke = deployment.addresses["spoke"]
        self.oracle, count, self.terms, revision = source.read(
            [
                Call(self.spoke, "ORACLE()(address)"),
                Call(self.spoke, "getReserveCount()(uint256)"),
                Call(self.spoke, _LIQUIDATION_CONFIG),
                Call(self.spoke, "SPOKE_REVISION()(uint64)"),
            ]
        )
        self.ids = range(count)
        self.reserves = source.read(each(self.spoke, _RESERVE, self.ids))
        self.tokens = [reserve[0] for reserve in self.reserves]
        self.assets = [(reserve[1], reserve[2]) for reserve in self.reserves]
        self.version = self._version(revision)
        twice = next((token for token in self.tokens if self.tokens.count(token) > 1), None)
        if twice:
            raise UnsupportedError(
                f"{self.name}: the spoke lists token {twice} from two hubs, and a market here has a token once"
            )

    def reading(self) -> Reading:
        """Everything, as rows of the snapshot's tables."""
        prices, oracles = self._prices()
        assets, rates = self._assets()
        accounts, positions, data = self._accounts()
        market = Market(self.name, tables.PROTOCOL, self.version, {"spoke": self.spoke, "oracle": self.oracle})
        rows = {
            TOKENS: token_rows(self.source, self.tokens, [reserve[3] for reserve in self.reserves]),
            ORACLES: oracles,
            tables.SPOKES: [
                {
                    "market": self.name,
                    "target_health_wad": self.terms[0],
                    "max_bonus_health_wad": self.terms[1],
                    "bonus_factor_bps": self.terms[2],
                }
            ],
            tables.ASSETS: assets,
            tables.RESERVES: self._reserves(prices),
            tables.CONFIGS: self._configs(),
            tables.ACCOUNTS: accounts,
            tables.POSITIONS: positions,
        }
        self._hold_to_views(market, rows, rates, data)
        return Reading((market,), rows)

    def _version(self, revision: int) -> str:
        """The version of the contracts: as the address book says, else by the revisions of spoke and hubs."""
        if self.source.deployment.version:
            return version_of(self.source.deployment.version).name
        hubs = sorted({hub for hub, _ in self.assets})
        revisions = [revision, *self.source.read([Call(hub, "HUB_REVISION()(uint64)") for hub in hubs])]
        if set(revisions) != {REVISION}:
            raise UnsupportedError(
                f"{self.name}: SPOKE_REVISION and HUB_REVISION {revisions} are of no Aave v4 version known "
                f"here; there are rules for {', '.join(VERSIONS)}"
            )
        return V0511

    # --- the spoke and its hubs ---------------------------------------------------------------------------------

    def _prices(self) -> tuple[list[int], Rows]:
        """What the spoke's oracle says, and its feeds."""
        found = self.source.columns(
            {
                "feed": each(self.oracle, "getReserveSource(uint256)(address)", self.ids),
                "price": each(self.oracle, "getReservePrice(uint256)(uint256)", self.ids),
            }
        )
        feeds, prices = found["feed"], found["price"]
        told = self.source.columns(ask_feeds(feeds), may_fail=FEED_COLUMNS)
        return prices, oracle_rows(self.name, self.tokens, feeds, prices, told, unit_raw=UNIT)

    def _reserves(self, prices: Sequence[int]) -> Rows:
        configs = self.source.read(each(self.spoke, _RESERVE_CONFIG, self.ids))
        shares = self.source.read([Call(hub, _SPOKE, (asset, self.spoke)) for hub, asset in self.assets])
        rows = zip(self.ids, self.reserves, configs, shares, prices, strict=True)
        return [
            {
                "market": self.name,
                "reserve_id": i,
                "token": reserve[0],
                "hub": reserve[1],
                "asset_id": reserve[2],
                "unit": 10 ** reserve[3],
                "price_raw": price,
                "collateral_risk_bps": config[0],
                "latest_key": reserve[6],
                "paused": config[1],
                "frozen": config[2],
                "receive_shares": config[4],
                "added_shares": share[3],
                "drawn_shares": share[0],
                "premium_shares": share[1],
                "premium_offset_ray": share[2],
                "deficit_ray": share[9],
                "premium_threshold_bps": share[6],
                "active": share[7],
                "halted": share[8],
                "borrowable": config[3],
                "add_cap": share[4],
                "draw_cap": share[5],
            }
            for i, reserve, config, share, price in rows
        ]

    def _configs(self) -> Rows:
        keys = [(i, key) for i, reserve in zip(self.ids, self.reserves, strict=True) for key in range(reserve[6] + 1)]
        configs = self.source.read([Call(self.spoke, _DYNAMIC_CONFIG, key) for key in keys])
        return [
            {
                "market": self.name,
                "reserve_id": i,
                "key": key,
                "collateral_factor_bps": config[0],
                "max_bonus_bps": config[1],
                "fee_bps": config[2],
            }
            for (i, key), config in zip(keys, configs, strict=True)
        ]

    def _assets(self) -> tuple[Rows, list[int]]:
        """Rows of the hubs' assets, and the rate that each hub would set now."""
        found = self.source.columns(
            {
                "data": [Call(hub, _ASSET, (asset,)) for hub, asset in self.assets],
                "rate": [Call(hub, "getAssetDrawnRate(uint256)(uint256)", (asset,)) for hub, asset in self.assets],
            }
        )
        of_asset = list(zip(self.assets, found["data"], strict=True))
        told = self.source.columns(
            {
                "model": [Call(data[13], _RATES, (asset,)) for (_, asset), data in of_asset],
                "receiver": [Call(hub, _SPOKE, (asset, data[15])) for (hub, asset), data in of_asset],
            }
        )
        rows = [
            {
                "market": self.name,
                "hub": hub,
                "asset_id": asset,
                "token": data[12],
                "liquidity_raw": data[0],
                "swept_raw": data[4],
                "realized_fees_raw": data[1],
                "added_shares": data[3],
                "drawn_shares": data[6],
                "premium_shares": data[7],
                "premium_offset_ray": data[5],
                "deficit_ray": data[16],
                "drawn_index_ray": data[9],
                "drawn_rate_ray": data[10],
                "last_update": data[11],
                "liquidity_fee_bps": data[8],
                "fee_receiver_shares": receiver[3],
                "optimal_usage_ray": model[0] * _BPS_IN_RAY,
                "base_rate_ray": model[1] * _BPS_IN_RAY,
                "slope1_ray": model[2] * _BPS_IN_RAY,
                "slope2_ray": model[3] * _BPS_IN_RAY,
            }
            for ((hub, asset), data), model, receiver in zip(of_asset, told["model"], told["receiver"], strict=True)
        ]
        return rows, found["rate"]

    # --- accounts -----------------------------------------------------------------------------------------------

    def _accounts(self) -> tuple[Rows, Rows, list[tuple[int, ...]]]:
        """Rows of the accounts that owe something, and of their balances; and the contract's data of each."""
        candidates = self.source.accounts(self.spoke, [BORROW], place=3)
        answers = self.source.read(each(self.spoke, _ACCOUNT_DATA, candidates), what="reading accounts")
        data = {account: answer for account, answer in zip(candidates, answers, strict=True) if answer[6]}
        wanted = [(i, account) for account in data for i in self.ids]
        flags = self.source.read([Call(self.spoke, _STATUS, key) for key in wanted], what="reading flags")
        used = {key: flag for key, flag in zip(wanted, flags, strict=True) if any(flag)}
        balances = self.source.read([Call(self.spoke, _POSITION, key) for key in used], what="reading balances")
        premiums = self.source.read(each(self.spoke, "getUserLastRiskPremium(address)(uint256)", data))
        accounts = [
            {"market": self.name, "account": account, "risk_premium_bps": premium}
            for account, premium in zip(data, premiums, strict=True)
        ]
        positions = [
            {
                "market": self.name,
                "account": account,
                "reserve_id": i,
                "supplied_shares": balance[3],
                "drawn_shares": balance[0],
                "premium_shares": balance[1],
                "premium_offset_ray": balance[2],
                "key": balance[4],
                "collateral": collateral,
                "borrowing": borrowing,
            }
            for ((i, account), (collateral, borrowing)), balance in zip(used.items(), balances, strict=True)
        ]
        return accounts, positions, list(data.values())

    # --- whether the rules are those of the contracts -------------------------------------------------------------

    def _hold_to_views(self, market: Market, rows: Any, rates: Sequence[int], data: Sequence[tuple[int, ...]]) -> None:
        """Refuse contracts whose rates and account data are not what the rules give."""
        content = {schema.name: Table.from_rows(schema, found) for schema, found in rows.items()}
        block = self.source.block
        snapshot = Snapshot(
            block.chain_id, block.number, block.hash, block.timestamp, "node", (market,), {}, tables=content
        )
        (spoke,) = tables.load(snapshot)
        assets, _, _ = spoke.state()
        for row, (rate, (hub, asset)) in enumerate(zip(rates, self.assets, strict=True)):
            accrue(assets, row, block.timestamp)
            if drawn_rate(assets, row) != rate:
                raise UnsupportedError(
                    f"{market.name}: asset {asset} of hub {hub} has drawn rate {rate}, which is not that of the "
                    f"interest rate model of version {market.version}; another model is not modelled"
                )
        for row, (account, answer) in enumerate(zip(spoke.accounts, data, strict=True)):
            if tuple(spoke.account_data(row)) != answer:
                raise UnsupportedError(
                    f"{market.name}: getUserAccountData({account}) is {answer}, not as in version {market.version}; "
                    "another version is not modelled"
                )
