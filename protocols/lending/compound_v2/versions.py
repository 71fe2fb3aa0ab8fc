"""Which Compound v2 contracts are modelled, how that was checked, and how they name their errors."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import UnsupportedError

UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the contracts.

    Attributes
    ----------
    name
        As a market's `version` says it.
    verified_by
        Recorded answers of this version's own bytecode that the rules reproduce (without ``.json.gz``), or
        ``unverified``: written from the source, compared with nothing.
    """

    name: str
    verified_by: str


VERSIONS = {"2": Version("2", "compound_v2")}
"""``2``: the comptroller of proposal 65 and later, with its "deprecated" markets (compound-protocol a3214f6)."""


def version_of(name: str) -> Version:
    """The version for a name; raises UnsupportedError for one that has no rules."""
    if name not in VERSIONS:
        raise UnsupportedError(f"no rules for Compound v2 version {name!r}; there are rules for {', '.join(VERSIONS)}")
    return VERSIONS[name]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as the contract has it: its name, and the reason that it carries as a number, if it does."""

    error: str
    code: int = 0
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.error}: {self.reason}" if self.reason else self.error


(
    OK,
    RATE_TOO_HIGH,
    MARKET_NOT_LISTED,
    MORE_THAN_BORROWED,
    PRICE_ERROR,
    INSUFFICIENT_SHORTFALL,
    TOO_MUCH_REPAY,
    SELF_LIQUIDATION,
    NOTHING_REPAID,
    ARITHMETIC_PANIC,
    NO_SEIZE_PRICE,
    DIVISION_PANIC,
    SEIZE_TOO_MUCH,
    SEIZE_PAUSED,
    NO_CASH,
) = range(15)
"""Why a liquidation is refused, in the order in which CToken.liquidateBorrow finds out; 0 if it is not."""

_REJECTION = "LiquidateComptrollerRejection(uint256)"
REFUSALS = {
    RATE_TOO_HIGH: Refusal("borrow rate is absurdly high"),
    MARKET_NOT_LISTED: Refusal(_REJECTION, 9, "MARKET_NOT_LISTED"),
    MORE_THAN_BORROWED: Refusal("Can not repay more than the total borrow"),
    PRICE_ERROR: Refusal(_REJECTION, 13, "PRICE_ERROR"),
    INSUFFICIENT_SHORTFALL: Refusal(_REJECTION, 3, "INSUFFICIENT_SHORTFALL"),
    TOO_MUCH_REPAY: Refusal(_REJECTION, 17, "TOO_MUCH_REPAY"),
    SELF_LIQUIDATION: Refusal("LiquidateLiquidatorIsBorrower()"),
    NOTHING_REPAID: Refusal("LiquidateCloseAmountIsZero()"),
    ARITHMETIC_PANIC: Refusal("Panic(0x11)"),
    NO_SEIZE_PRICE: Refusal("LIQUIDATE_COMPTROLLER_CALCULATE_AMOUNT_SEIZE_FAILED"),
    DIVISION_PANIC: Refusal("Panic(0x12)"),
    SEIZE_TOO_MUCH: Refusal("LIQUIDATE_SEIZE_TOO_MUCH"),
    SEIZE_PAUSED: Refusal("seize is paused"),
    NO_CASH: Refusal("RedeemTransferOutNotPossible()"),
}
