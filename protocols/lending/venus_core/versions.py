"""Which versions of Venus' core pool are modelled, how each was checked, and how they name their errors."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import UnsupportedError
from protocols.lending.compound_v2.versions import UNVERIFIED, Refusal, Version

VERSIONS = {
    version.name: version
    for version in (
        Version("10.0", UNVERIFIED),
        Version("10.3", "venus_core"),
    )
}
"""Major and minor of venus-protocol. 10.0 brought pools. Since 10.3 a market's cash is a number of its own and not its
token balance, and a market in which an account has nothing needs no price."""


def version_of(name: str) -> Version:
    """The version for a name such as ``10.3`` or ``10.3.0``; raises UnsupportedError for one without rules."""
    version = VERSIONS.get(".".join(name.split(".")[:2]))
    if version is None:
        raise UnsupportedError(f"no rules for Venus core version {name!r}; there are rules for {', '.join(VERSIONS)}")
    return version


def needs_every_price(name: str) -> bool:
    """Whether a market that an account is in needs a price even where it has nothing there: before 10.3."""
    return version_of(name).name == "10.0"


(
    OK,
    MARKET_NOT_LISTED,
    RATE_TOO_HIGH,
    LIQUIDATE_PAUSED,
    UNAUTHORIZED,
    PRICE_ERROR,
    INSUFFICIENT_SHORTFALL,
    TOO_MUCH_REPAY,
    SELF_LIQUIDATION,
    NOTHING_REPAID,
    TOTAL_TOO_SMALL,
    NO_SEIZE_PRICE,
    DIVISION_PANIC,
    SEIZE_TOO_MUCH,
    SEIZE_PAUSED,
    NOT_COLLATERAL,
    INCENTIVE_PANIC,
    NO_CASH,
) = range(18)
"""Why a liquidation is refused, in the order in which the contracts find out; 0 if it is not."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that a vToken returns instead of reverting: TokenErrorReporter's ``Failure(error, info, detail)``."""

    error: int
    name: str
    info: int
    detail: int = 0
    detail_name: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.detail_name}" if self.detail_name else self.name


def _rejection(detail: int, name: str) -> Failure:
    return Failure(3, "COMPTROLLER_REJECTION", 18, detail, name)


FAILURES = {
    UNAUTHORIZED: _rejection(1, "UNAUTHORIZED"),
    PRICE_ERROR: _rejection(13, "PRICE_ERROR"),
    INSUFFICIENT_SHORTFALL: _rejection(3, "INSUFFICIENT_SHORTFALL"),
    TOO_MUCH_REPAY: _rejection(17, "TOO_MUCH_REPAY"),
    SELF_LIQUIDATION: Failure(6, "INVALID_ACCOUNT_PAIR", 23),
    NOTHING_REPAID: Failure(7, "INVALID_CLOSE_AMOUNT_REQUESTED", 21),
}
"""What a vToken that is called directly returns; interest has accrued then, and stays so."""

_REVERTS = {
    MARKET_NOT_LISTED: "market not listed",
    RATE_TOO_HIGH: "borrow rate is absurdly high",
    LIQUIDATE_PAUSED: "action is paused",
    TOTAL_TOO_SMALL: "math error",
    NO_SEIZE_PRICE: "LIQUIDATE_COMPTROLLER_CALCULATE_AMOUNT_SEIZE_FAILED",
    DIVISION_PANIC: "Panic(0x12)",
    SEIZE_TOO_MUCH: "LIQUIDATE_SEIZE_TOO_MUCH",
    SEIZE_PAUSED: "action is paused",
    NOT_COLLATERAL: "token seizure failed",
    INCENTIVE_PANIC: "Panic(0x11)",
    NO_CASH: "math error",
}


def revert_of(code: int, through_liquidator: bool) -> Refusal:
    """What a call reverts with: everything does if it goes through the Liquidator."""
    if code in FAILURES:
        return Refusal("LiquidationFailed(uint256)", FAILURES[code].error, FAILURES[code].name)
    if code == MARKET_NOT_LISTED and through_liquidator:
        return Refusal("MarketNotListed(address)")
    return Refusal(_REVERTS[code])
