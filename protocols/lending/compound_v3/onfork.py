"""A Comet on a fork: its own contract asked and made to act."""

from __future__ import annotations

from collections.abc import Sequence

from chain.calls import Call
from chain.fork import Fork, Reverted
from chain.snapshot import Market
from protocols.asking import each
from protocols.lending.compound_v3.rates import mul_factor
from protocols.lending.compound_v3.rules import mul_price
from protocols.onfork import EXECUTOR, Hand, logs_of, read_all, word

# keccak256 of AbsorbCollateral(address,address,address,uint256,uint256), of AbsorbDebt(address,address,uint256,uint256)
# and of BuyCollateral(address,address,uint256,uint256)
ABSORB_COLLATERAL = bytes.fromhex("9850ab1af75177e4a9201c65a2cf7976d5d28e40ef63494b44366f86b2f9412e")
ABSORB_DEBT = bytes.fromhex("1547a878dc89ad3c367b6338b4be6a65a5dd74fb77ae044da1e8747ef1f4f62f")
BUY_COLLATERAL = bytes.fromhex("f891b2a411b0e66a5f0a6ff1368670fefa287a13f541eb633a386a1a9cc7046b")

_ASSET_INFO = "getAssetInfo(uint8)(uint8,address,address,uint64,uint64,uint64,uint64,uint128)"
_ABSORB = "absorb(address,address[])()"
_BUY = "buyCollateral(address,uint256,uint256,address)()"


class OnFork:
    """One market's contract.

    Parameters
    ----------
    market
        As the snapshot names it, with the address of its Comet.
    fork
        Where it runs.
    """

    def __init__(self, market: Market, fork: Fork) -> None:
        self.fork, self.hand = fork, Hand(fork)
        self.comet = market.addresses["comet"]
        self.base, self._base_feed, self._base_scale, count = fork.read_all(
            [
                Call(self.comet, "baseToken()(address)"),
                Call(self.comet, "baseTokenPriceFeed()(address)"),
                Call(self.comet, "baseScale()(uint256)"),
                Call(self.comet, "numAssets()(uint8)"),
            ]
        )
        self._assets = fork.read_all(each(self.comet, _ASSET_INFO, range(count)))
        self._written_off = 0

    def set_price(self, feed: str, price_raw: int) -> None:
        """Let a price source answer this from now on, 8 decimals."""
        self.fork.answer_always(feed, price_raw)

    def liquidatable(self, accounts: Sequence[str]) -> dict[str, int]:
        """The accounts that the contract would absorb now, each with its liquidity (1e8 of the numeraire).

        The contract tells no liquidity: it is added up here from the balances, prices and factors that it tells.
        Of the accounts where that is below 0, those are liquidatable whose ``absorb`` goes through.
        """
        return {
            a: liquidity for a, liquidity in self._liquidity(accounts).items() if liquidity < 0 and self._absorbs(a)
        }

    def liquidate(self, collateral: str, debt: str, account: str, amount_raw: int) -> tuple[int, int, int]:
        """Absorb an account, or where `account` is empty buy collateral; raises chain.fork.Reverted.

        Returns
        -------
        Base token paid, collateral received, and the protocol's fee, which there is not; smallest units, from the
        events. All are 0 of an absorption.
        """
        if account:
            self._absorb(account)
            return 0, 0, 0
        self.hand.hold(debt, amount_raw)
        self.hand.allow(debt, self.comet)
        receipt = self.hand.act(Call(self.comet, _BUY, (collateral, 0, amount_raw, EXECUTOR)))
        bought = logs_of(receipt, self.comet, BUY_COLLATERAL)[0]
        return word(bought, 0), word(bought, 1), 0

    def deficit(self, token: str) -> int:
        """What absorptions here have written off: the base token paid out and not covered by the collateral's value
        times its liquidation factor, from the events; the contract keeps no sum of it."""
        return self._written_off if token == self.base else 0

    def _absorb(self, account: str) -> None:
        receipt = self.hand.act(Call(self.comet, _ABSORB, (EXECUTOR, [account])))
        factor_of = {asset[1]: asset[6] for asset in self._assets}
        value = sum(
            mul_factor(word(log, 1), factor_of["0x" + log.topics[3].hex()[-40:]])
            for log in logs_of(receipt, self.comet, ABSORB_COLLATERAL)
        )
        paid = word(logs_of(receipt, self.comet, ABSORB_DEBT)[0], 0)
        self._written_off += paid - value * self._base_scale // self._price(self._base_feed)

    def _absorbs(self, account: str) -> bool:
        try:
            self.fork.read(Call(self.comet, _ABSORB, (EXECUTOR, [account])))
        except Reverted:
            return False
        return True

    def _liquidity(self, accounts: Sequence[str]) -> dict[str, int]:
        """The liquidity of each account that owes something, debts with interest up to now."""
        prices = {feed: self._price(feed) for feed in (self._base_feed, *(asset[2] for asset in self._assets))}
        debts = read_all(self.fork, each(self.comet, "borrowBalanceOf(address)(uint256)", accounts))
        found = {
            account: -mul_price(debt, prices[self._base_feed], self._base_scale)
            for account, debt in zip(accounts, debts, strict=True)
            if debt
        }
        user_basic = "userBasic(address)(int104,uint64,uint64,uint16,uint8)"
        flags = [basic[3] | basic[4] << 16 for basic in read_all(self.fork, each(self.comet, user_basic, found))]
        held = [
            (account, asset)
            for account, entered in zip(found, flags, strict=True)
            for asset in self._assets
            if entered >> asset[0] & 1
        ]
        user_collateral = "userCollateral(address,address)(uint128,uint128)"
        balances = read_all(
            self.fork, [Call(self.comet, user_collateral, (account, asset[1])) for account, asset in held]
        )
        for (account, (_, _, feed, scale, _, factor, _, _)), (balance, _) in zip(held, balances, strict=True):
            found[account] += mul_factor(mul_price(balance, prices[feed], scale), factor)
        return found

    def _price(self, feed: str) -> int:
        """The contract's price, 0 where it takes what the feed says for none."""
        try:
            return int(self.fork.read(Call(self.comet, "getPrice(address)(uint256)", (feed,))))
        except Reverted:
            return 0
