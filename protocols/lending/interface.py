"""What every lending protocol brings to the engine: offers to liquidators, and the settlement of what they took.

The engine knows protocols through these types only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a liquidator may do to one account now: repay up to `most_raw` of a debt, receive a collateral.

    Attributes
    ----------
    account
        Row in the market's `accounts`; -1 where the market sells what it holds itself.
    collateral, debt
        Rows in the market's `tokens`.
    most_raw
        The largest repayment that can be accepted, in the debt token's smallest unit.
    unpaid
        Whether it pays nobody and costs gas only (Comet's absorb): keepers do it for the protocol's sake. `most_raw`
        is then 0.
    """

    account: int
    collateral: int
    debt: int
    most_raw: int
    unpaid: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """The answer to "what if this much were repaid?".

    Attributes
    ----------
    repaid_raw
        What the liquidator pays, debt token's smallest unit.
    received_raw
        What the liquidator receives, collateral token's smallest unit; claims (cTokens) count as what they are
        redeemed for.
    fee_raw
        What the protocol keeps out of the liquidation bonus, collateral token's smallest unit.
    refusal
        Empty, or the name of the error the contract reverts with; the amounts are then 0.
    claim_raw
        Claims received before they are redeemed, smallest units; 0 where the collateral itself is paid out.
    """

    repaid_raw: int
    received_raw: int
    fee_raw: int
    refusal: str = ""
    claim_raw: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a liquidation did to the market.

    Attributes
    ----------
    terms
        What changed hands.
    deficits_raw
        Debt written off by the protocol's own rule (*realised* bad debt): (row in `tokens`, smallest units) each.
    borne_by
        Who loses what was written off, in words; empty where nothing was, or nobody does until governance acts.
    """

    terms: Terms
    deficits_raw: tuple[tuple[int, int], ...] = ()
    borne_by: str = ""


class Exposures(NamedTuple):
    """The market's positions as float64 arrays, account by account (CSR): entries of account a are
    ``offsets[a]:offsets[a + 1]``.

    `supplied` and `debt` are whole tokens with interest to now, `threshold` and `ltv` are shares (0 where the entry
    does not count as collateral), `bonus` is the liquidation bonus (1.05 = 5 %).
    """

    offsets: IntArray
    reserve: IntArray
    supplied: FloatArray
    debt: FloatArray
    threshold: FloatArray
    ltv: FloatArray
    bonus: FloatArray


class Pair(NamedTuple):
    """One debt and one collateral of an unhealthy account, in real numbers.

    Values are US dollars at the market's oracle prices, or else in its unit of account.

    Attributes
    ----------
    health
        The account's weighted collateral over all that it owes, below 1.
    owed_usd
        All that the account owes.
    debt_usd
        What it owes in the reserve that is repaid.
    collateral_usd
        What it has in the reserve that is seized.
    threshold, bonus
        Liquidation threshold (a share) and bonus (1.05 = 5 %) of that collateral, as `Exposures` has them.
    fee
        The collateral's in `ClosingTerms`.
    """

    health: float
    owed_usd: float
    debt_usd: float
    collateral_usd: float
    threshold: float
    bonus: float
    fee: float


class Closing(NamedTuple):
    """What a liquidation of an unhealthy account may repay and gives, in real numbers.

    Attributes
    ----------
    most_usd
        The largest repayment that the close factor lets through, US dollars at the market's oracle prices, whether or
        not the collateral pays for it.
    bonus
        What is taken of the collateral for 1 repaid, in value: 1.05 = 5 %.
    fee_share
        The share of the bonus that the protocol keeps.
    leftover_usd
        What must be left of the debt and of the collateral unless one of the two is taken whole; 0 without such a rule.
    """

    most_usd: float
    bonus: float
    fee_share: float
    leftover_usd: float


WHOLE = 0
"""The code of the plainest rule: all of a debt may be repaid at once, and the protocol keeps nothing."""


class ClosingTerms(NamedTuple):
    """A market's own numbers for :func:`protocols.lending.closing.closing`.

    Attributes
    ----------
    code
        Which protocol's rule, as :func:`protocols.lending.closing.code_of` says, or :data:`WHOLE`.
    parameters
        What that rule takes, as its protocol's ``closing.py`` says; at least one number.
    fee
        What the protocol keeps when the reserve is the collateral, shape (reserves,); of what, its rule says.
    """

    code: int
    parameters: FloatArray
    fee: FloatArray


class LendingMarket(Protocol):
    """One market's exact state, stepped by the engine. Amounts are integers, as on chain."""

    @property
    def name(self) -> str:
        """The market's name within its snapshot, e.g. ``aave-v3``."""

    @property
    def protocol(self) -> str:
        """Folder of the protocol, e.g. ``aave_v3``."""

    @property
    def version(self) -> str:
        """Version of the contracts, e.g. ``3.6``."""

    @property
    def caveat(self) -> str:
        """Empty where the rules of this version agree with recorded contract answers; else what is unverified."""

    @property
    def lends_collateral(self) -> bool:
        """Whether what accounts pledge is lent out to others too: *rehypothecation* proper. How much of it is lent is
        told by :meth:`cash_and_loans_raw`."""

    @property
    def accounts(self) -> Sequence[str]:
        """Addresses of the accounts with debt."""

    @property
    def tokens(self) -> Sequence[str]:
        """Address of each reserve's token."""

    def advance(self, timestamp: int) -> None:
        """Let time pass: from now on balances carry interest up to `timestamp` (unix seconds)."""

    @property
    def numeraire(self) -> int | None:
        """What prices are in: None for US dollars, else the row in `tokens` of the token that is the unit of account,
        whose own price never changes."""

    def set_price(self, reserve: int, price_raw: int) -> None:
        """The oracle price of one whole token, in base units."""

    def price_raw(self, reserve: int) -> int:
        """The oracle price of one whole token now, in base units."""

    def price_unit(self, reserve: int) -> int:
        """Base units in one unit of the numeraire, for a price of one whole token of the reserve (Aave v3: 1e8)."""

    def exposures(self) -> Exposures:
        """All positions as arrays, for fast screening; relative error at most 1e-9."""

    def is_liquidatable(self, account: int) -> bool:
        """Whether the contract lets the account be liquidated now."""

    def health_raw(self, account: int) -> int:
        """The number by which the contract decides, in its own unit (Aave: health factor in wad)."""

    def offers(self, account: int) -> list[Offer]:
        """What may be done to an account now, by pair of debt and collateral; empty for a healthy account."""

    def standing_offers(self) -> list[Offer]:
        """What the market sells now of its own (Comet's buyCollateral); empty for most."""

    def open_accounts(self) -> list[int]:
        """Accounts that may be liquidated whatever their health (Venus: forced liquidation); empty for most."""

    def is_open_in_grace(self, account: int) -> bool:
        """Whether a liquidatable account may be liquidated in the grace period after an outage of the sequencer."""

    def terms(self, offer: Offer, amount_raw: int) -> Terms:
        """What a repayment of at most `amount_raw` would give, state unchanged."""

    def settle(self, offer: Offer, amount_raw: int) -> Settlement:
        """Execute the liquidation and change the state as the contract does."""

    def closing_terms(self) -> ClosingTerms:
        """The rule by which its accounts are liquidated, in real numbers: what does not change while a path of prices
        is followed."""

    def deficits_raw(self) -> Sequence[int]:
        """Realised bad debt of each reserve so far, smallest units."""

    def cash_and_loans_raw(self) -> Sequence[tuple[int, int]]:
        """Of each reserve, what could be paid out now and what is lent out with interest, smallest units; two zeros
        for what is never lent."""


@runtime_checkable
class Emptiable(Protocol):
    """A market whose suppliers can leave."""

    def pay_out(self, reserve: int, amount_raw: int) -> int:
        """Let suppliers who owe nothing withdraw an amount in smallest units, as far as there is cash, exactly as the
        contract pays it; returns what was paid. The supply, the cash and the rates that follow from them change."""


class UsualMarket:
    """What most markets answer; one that differs says so itself."""

    tokens: Sequence[str]
    lends_collateral: bool = False

    def standing_offers(self) -> list[Offer]:
        """Nothing is sold of the market's own."""
        return []

    def open_accounts(self) -> list[int]:
        """Nobody may be liquidated but for their health."""
        return []

    def cash_and_loans_raw(self) -> Sequence[tuple[int, int]]:
        """Nothing is lent out of what others have supplied."""
        return [(0, 0)] * len(self.tokens)

    def is_open_in_grace(self, account: int) -> bool:
        """Nobody is given time."""
        return True

    def closing_terms(self) -> ClosingTerms:
        """All of a debt may be repaid at once, and the whole bonus is the liquidator's."""
        return ClosingTerms(WHOLE, np.zeros(1), np.zeros(len(self.tokens)))
