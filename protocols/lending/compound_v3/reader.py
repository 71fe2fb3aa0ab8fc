"""Reads a Comet at a pinned block: configuration, totals, prices, and every account with debt.

Debt begins with a withdrawal or a transfer of base token, and a transfer that only borrows names its sender in no
event. But nobody can borrow without collateral, and collateral comes into an account only with ``SupplyCollateral`` or
``TransferCollateral``, which name the account: so these two find everyone who may owe something.

Source of the layouts: CometCore.sol, CometStorage.sol and CometMainInterface.sol of compound-finance/comet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from chain.calls import Call, CallFailed
from chain.deployments import Deployment
from chain.errors import UnsupportedError
from chain.node import Block, Node, Progress
from chain.snapshot import ORACLES, TOKENS, Market
from protocols.asking import Source, each
from protocols.lending.compound_v3 import tables
from protocols.lending.compound_v3.market import PRICE_SCALE
from protocols.lending.compound_v3.versions import COMET, EXTENDED, version_of
from protocols.reading import FEED_COLUMNS, Reading, Rows, ask_feeds, description, oracle_rows, token_rows

# keccak256 of these events, each of (address,address,address,uint256): in both the third topic is who receives it
SUPPLY_COLLATERAL = "0xfa56f7b24f17183d81894d3ac2ee654e3c26388d17a28dbd9549b8114304e1f4"
TRANSFER_COLLATERAL = "0x29db89d45e1a802b4d55e202984fce9faf1d30aedf86503ff1ea0ed9ebb64201"

_SUPPLY, _TRANSFER, _WITHDRAW, _ABSORB, _BUY = range(5)
"""Bits of the pause flags."""

_GETTERS = {
    "supply_kink": "supplyKink",
    "supply_slope_low": "supplyPerSecondInterestRateSlopeLow",
    "supply_slope_high": "supplyPerSecondInterestRateSlopeHigh",
    "supply_base": "supplyPerSecondInterestRateBase",
    "borrow_kink": "borrowKink",
    "borrow_slope_low": "borrowPerSecondInterestRateSlopeLow",
    "borrow_slope_high": "borrowPerSecondInterestRateSlopeHigh",
    "borrow_base": "borrowPerSecondInterestRateBase",
    "store_front_factor": "storeFrontPriceFactor",
    "target_reserves_raw": "targetReserves",
    "borrow_min_raw": "baseBorrowMin",
}
_ASSET_INFO = "getAssetInfo(uint8)(uint8,address,address,uint64,uint64,uint64,uint64,uint128)"
_TOTALS_BASIC = "totalsBasic()(uint64,uint64,uint64,uint64,uint104,uint104,uint40,uint8)"
_USER_BASIC = "userBasic(address)(int104,uint64,uint64,uint16,uint8)"
_CONSTANT = "Constant price feed"
"""Description of the feed whose answer is 1: the market counts in its base token."""
_QUOTE = re.compile(r"/\s*(\w+)")


def read_deployment(node: Node, block: Block, deployment: Deployment, progress: Callable[[str], Progress]) -> Reading:
    """Read one Comet.

    Parameters
    ----------
    node, block
        Where from.
    deployment
        Its address book entry; needs the address ``comet``.
    progress
        Makes a progress callback for a part of the work.

    Raises
    ------
    UnsupportedError
        If the unit of its prices is neither the US dollar nor the base token, or cannot be told.
    NodeError
        If the node does not answer.
    """
    return _Reader(Source(node, block, deployment, progress)).reading()


class _Reader:
    def __init__(self, source: Source) -> None:
        deployment = source.deployment
        self.source, self.name = source, deployment.name
        self.comet: str = deployment.addresses["comet"]
        base, feed, count, scale = source.read(
            [
                Call(self.comet, "baseToken()(address)"),
                Call(self.comet, "baseTokenPriceFeed()(address)"),
                Call(self.comet, "numAssets()(uint8)"),
                Call(self.comet, "baseScale()(uint256)"),
            ]
        )
        # only the contract with the long list has this; the other passes the call on to its extension, which reverts
        (asset_list,) = source.read([Call(self.comet, "assetList()(address)")], require=False)
        found = COMET if isinstance(asset_list, CallFailed) else EXTENDED
        self.version = version_of(deployment.version or found)
        assets = source.read(each(self.comet, _ASSET_INFO, range(count)))
        self.tokens: list[str] = [base, *(asset[1] for asset in assets)]
        self.feeds: list[str] = [feed, *(asset[2] for asset in assets)]
        # scale, the three factors and the supply cap of each
        self.terms = [(scale, 0, 0, 0, 0), *(asset[3:] for asset in assets)]

    def reading(self) -> Reading:
        """Everything, as rows of the snapshot's tables."""
        told = self.source.columns(
            {"price": each(self.comet, "getPrice(address)(uint256)", self.feeds)} | ask_feeds(self.feeds),
            may_fail=("price", *FEED_COLUMNS),
        )
        # a feed that gives no price makes the contract revert wherever it needs one
        prices = [0 if isinstance(price, CallFailed) else price for price in told["price"]]
        accounts, positions = self._accounts()
        numeraire = self._numeraire(description(told["text"][0]), prices[0])
        return Reading(
            (Market(self.name, tables.PROTOCOL, self.version.name, {"comet": self.comet}),),
            {
                TOKENS: token_rows(self.source, self.tokens, [len(str(scale)) - 1 for scale, *_ in self.terms]),
                ORACLES: oracle_rows(
                    self.name, self.tokens, self.feeds, prices, told, unit_raw=PRICE_SCALE, numeraire=numeraire
                ),
                tables.MARKETS: [self._market(numeraire)],
                tables.RESERVES: self._reserves(prices),
                tables.ACCOUNTS: accounts,
                tables.POSITIONS: positions,
            },
        )

    # --- what becomes of it -------------------------------------------------------------------------------------

    def _numeraire(self, text: str, price: int) -> str:
        """What prices are in, as the base token's feed tells it: the base token's address, or nothing for dollars."""
        if text == _CONSTANT and price == PRICE_SCALE:
            return self.tokens[0]
        quote = _QUOTE.search(text)
        if quote and quote[1].upper() == "USD":
            return ""
        raise UnsupportedError(
            f"{self.name}: the feed {self.feeds[0]} of its base token says {text!r}; a market is "
            f"supported whose prices are in US dollars, or in its base token (feed {_CONSTANT!r} with the answer 1)"
        )

    def _market(self, numeraire: str) -> dict[str, Any]:
        totals, *numbers = self.source.read(
            [Call(self.comet, _TOTALS_BASIC), *(Call(self.comet, f"{name}()(uint256)") for name in _GETTERS.values())]
        )
        flags = totals[7]
        return {
            "market": self.name,
            "numeraire": numeraire,
            "supply_index": totals[0],
            "borrow_index": totals[1],
            "supply_principal": totals[4],
            "borrow_principal": totals[5],
            "last_accrual": totals[6],
            **dict(zip(_GETTERS, numbers, strict=True)),
            "absorb_paused": bool(flags >> _ABSORB & 1),
            "buy_paused": bool(flags >> _BUY & 1),
            "supply_paused": bool(flags >> _SUPPLY & 1),
            "transfer_paused": bool(flags >> _TRANSFER & 1),
            "withdraw_paused": bool(flags >> _WITHDRAW & 1),
        }

    def _reserves(self, prices: Sequence[int]) -> Rows:
        found = self.source.columns(
            {
                "balance": [Call(token, "balanceOf(address)(uint256)", (self.comet,)) for token in self.tokens],
                "supplied": each(self.comet, "totalsCollateral(address)(uint128,uint128)", self.tokens),
            }
        )
        return [
            {
                "market": self.name,
                "token": self.tokens[row],
                "row": row,
                "scale": scale,
                "price_raw": prices[row],
                "borrow_factor": borrow,
                "liquidate_factor": liquidate,
                "liquidation_factor": liquidation,
                "supply_cap_raw": cap,
                "supplied_raw": found["supplied"][row][0],
                "balance_raw": found["balance"][row],
            }
            for row, (scale, borrow, liquidate, liquidation, cap) in enumerate(self.terms)
        ]

    # --- accounts -----------------------------------------------------------------------------------------------

    def _accounts(self) -> tuple[Rows, Rows]:
        """Rows of the accounts that owe something, and of their collateral."""
        candidates = self.source.accounts(self.comet, [(SUPPLY_COLLATERAL, TRANSFER_COLLATERAL)], place=2)
        basics = self.source.read(each(self.comet, _USER_BASIC, candidates), what="reading accounts")
        owing = {account: basic for account, basic in zip(candidates, basics, strict=True) if basic[0] < 0}
        held = [
            (account, row)
            for account, (_, _, _, low, high) in owing.items()
            for row in range(1, len(self.tokens))
            if (low | high << 16) >> (row - 1) & 1
        ]
        balance = "userCollateral(address,address)(uint128,uint128)"
        calls = [Call(self.comet, balance, (account, self.tokens[row])) for account, row in held]
        balances = self.source.read(calls, what="reading balances")
        accounts = [
            {"market": self.name, "account": account, "principal": basic[0]} for account, basic in owing.items()
        ]
        positions = [
            {
                "market": self.name,
                "account": account,
                "token": self.tokens[row],
                "balance_raw": amount,
            }
            for (account, row), (amount, _) in zip(held, balances, strict=True)
        ]
        return accounts, positions
