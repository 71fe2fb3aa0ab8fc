"""Reads Venus' core pool at a pinned block: what Compound's reader reads, and pools, pauses, forced liquidations and
the Liquidator contract besides.

Source of the layouts: the facets, ComptrollerStorage.sol and LiquidatorStorage.sol of venus-protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from chain.tables import Schema
from protocols.arithmetic import max_uint256
from protocols.asking import NOBODY, Source, each
from protocols.lending.compound_v2.reader import Claim, CompoundReader
from protocols.lending.venus_core import tables
from protocols.lending.venus_core.versions import version_of
from protocols.reading import Reading, Rows

REDEEM, REPAY, SEIZE, LIQUIDATE, TRANSFER = 1, 3, 4, 5, 6
"""Actions that a market can pause, as ComptrollerStorage numbers them."""
MOST_PENDING = 10
"""Markets that the Liquidator tries to redeem from at once."""

_POOL_MARKET = "poolMarkets(uint96,address)(bool,uint256,bool,uint256,uint256,uint96,bool)"


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read one core pool.

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
        For a version, an interest rate model or a storage layout that is not known, and for a fee on redemptions.
    NodeError
        If the node does not answer.
    """
    return _VenusReader(Source(node, block, deployment, progress)).reading()


class _VenusReader(CompoundReader):
    protocol = tables.PROTOCOL
    accounts_table = tables.ACCOUNTS
    positions_table = tables.POSITIONS
    no_debt = MappingProxyType({"forced": False})

    def find_version(self) -> str:
        last, fee, bounded, self.liquidator, self.vai, paused = self.source.read(
            [
                Call(self.comptroller, "lastPoolId()(uint96)"),
                Call(self.comptroller, "treasuryPercent()(uint256)"),
                Call(self.comptroller, "deviationBoundedOracle()(address)"),
                Call(self.comptroller, "liquidatorContract()(address)"),
                Call(self.comptroller, "vaiController()(address)"),
                Call(self.comptroller, "protocolPaused()(bool)"),
            ],
            require=False,
        )
        if isinstance(last, CallFailed):
            raise UnsupportedError(f"{self.name}: Venus before 10.0, which has no pools, is not modelled")
        if fee:
            raise UnsupportedError(f"{self.name}: a fee on redemptions (treasuryPercent) is not modelled")
        self.last_pool, self.all_paused = int(last), bool(paused)
        found = "10.0" if isinstance(bounded, CallFailed) else "10.3"
        return version_of(self.source.deployment.version or found).name

    def more_addresses(self) -> dict[str, str]:
        return {} if self.liquidator == NOBODY else {"liquidator": self.liquidator}

    def flags(self) -> list[dict[str, Any]]:
        listed = self.source.read(each(self.comptroller, "markets(address)(bool,uint256)", self.claims))
        return [{"listed": row[0], "borrow_paused": False, "seize_share_wad": 0} for row in listed]

    def more_rows(self, markets: Rows) -> dict[Schema, Rows]:
        guards = self._guards()
        name = {"market": self.name}
        share = 0
        if self.liquidator != NOBODY:
            (share,) = self.source.read([Call(self.liquidator, "treasuryPercentMantissa()(uint256)")])
        settings = {
            "close_factor_wad": self.close_factor,
            "treasury_share_wad": share,
            "liquidator_only": self.liquidator != NOBODY,
        }
        pools, members = self._pools()
        return {
            tables.SETTINGS: [name | settings],
            tables.MARKETS: [row | guard for row, guard in zip(markets, guards, strict=True)],
            tables.POOLS: pools,
            tables.POOL_MARKETS: members,
        }

    def _guards(self) -> list[dict[str, Any]]:
        """Of each kept market: pauses, forced liquidation, when reserves are paid out, what the Liquidator holds."""
        actions = (REDEEM, REPAY, SEIZE, LIQUIDATE, TRANSFER)
        asked = [
            Call(self.comptroller, "actionPaused(address,uint8)(bool)", (c, a)) for c in self.claims for a in actions
        ]
        answers = iter(self.source.read(asked))
        forced = self.source.read(each(self.comptroller, "isForcedLiquidationEnabled(address)(bool)", self.claims))
        # Older markets never pay reserves out by themselves.
        numbers = ("reduceReservesBlockNumber", "reduceReservesBlockDelta")
        reduced = iter(
            self.source.read([Call(c, f"{n}()(uint256)") for c in self.claims for n in numbers], require=False)
        )
        left = self._left_with_liquidator()
        rows = []
        for claim, force in zip(self.claims, forced, strict=True):
            paused = {action: next(answers) or self.all_paused for action in actions}
            since, after = next(reduced), next(reduced)
            never = isinstance(since, CallFailed) or isinstance(after, CallFailed)
            rows.append(
                {
                    # A repayment is a part of every liquidation; claims that cannot be moved on are of no use.
                    "liquidate_paused": paused[LIQUIDATE] or paused[REPAY],
                    "seize_paused": paused[SEIZE] or paused[REDEEM] or paused[TRANSFER],
                    "forced": force,
                    "reduced_block": 0 if never else since,
                    "reduce_blocks": max_uint256() if never else after,
                    "liquidator_claims": left.get(claim, (0, False))[0],
                    "pending": left.get(claim, (0, False))[1],
                }
            )
        return rows

    def _left_with_liquidator(self) -> dict[Claim, tuple[int, bool]]:
        """Claims that the Liquidator holds, and whether it has still to redeem them."""
        if self.liquidator == NOBODY:
            return {}
        queue = [Call(self.liquidator, "pendingRedeem(uint256)(address)", (place,)) for place in range(MOST_PENDING)]
        pending = {claim for claim in self.source.read(queue, require=False) if not isinstance(claim, CallFailed)}
        balances = self.source.read(
            [Call(claim, "balanceOf(address)(uint256)", (self.liquidator,)) for claim in self.claims]
        )
        return {claim: (balance, claim in pending) for claim, balance in zip(self.claims, balances, strict=True)}

    def _pools(self) -> tuple[Rows, Rows]:
        numbers = range(self.last_pool + 1)
        pools = self.source.read(each(self.comptroller, "pools(uint96)(string,bool,bool)", numbers))
        pairs = [(number, claim) for number in numbers for claim in self.claims]
        answers = self.source.read([Call(self.comptroller, _POOL_MARKET, pair) for pair in pairs])
        name = {"market": self.name}
        rows = [
            # The core is no pool of its own, and always there.
            name | {"pool": n, "label": label if n else "Core", "active": active or n == 0, "fallback": fallback}
            for n, (label, active, fallback) in enumerate(pools)
        ]
        members = [
            name
            | {"pool": number, "token": self.tokens[claim], "listed": listed}
            | {"ltv_wad": factor, "threshold_wad": threshold, "incentive_wad": incentive}
            for (number, claim), (listed, factor, _, threshold, incentive, *_) in zip(pairs, answers, strict=True)
            if listed
        ]
        return rows, members

    def account_facts(self, accounts: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        pools = self.source.read(each(self.comptroller, "userPoolId(address)(uint96)", accounts))
        left_out = {}
        if self.vai != NOBODY:
            minted = self.source.read(each(self.vai, "getVAIRepayAmount(address)(uint256)", accounts))
            left_out = {account: "owe VAI, which is" for account, debt in zip(accounts, minted, strict=True) if debt}
        if self.liquidator != NOBODY:
            restricted = self.source.read(each(self.liquidator, "liquidationRestricted(address)(bool)", accounts))
            for account, restriction in zip(accounts, restricted, strict=True):
                if restriction:
                    left_out[account] = "may be liquidated by some liquidators only, which is"
        return {account: {"pool": pool} for account, pool in zip(accounts, pools, strict=True)}, left_out

    def debt_facts(self, pairs: Sequence[tuple[str, Claim]]) -> list[dict[str, Any]]:
        asked = "isForcedLiquidationEnabledForUser(address,address)(bool)"
        answers = self.source.read([Call(self.comptroller, asked, pair) for pair in pairs])
        return [{"forced": forced} for forced in answers]
