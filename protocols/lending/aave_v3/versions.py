"""Which versions of the Aave v3 contracts are modelled, how each was checked, and how each names its errors."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import UnsupportedError

V30, V31, V32, V33, V34, V35, V36, V37 = 30, 31, 32, 33, 34, 35, 36, 37
"""Versions as rules know them; a rule compares them (``version >= V35``)."""

UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the contracts.

    Attributes
    ----------
    name
        Major and minor, e.g. ``3.6``.
    code
        The number that rules take.
    verified_by
        Recorded answers of this version's own bytecode that the rules reproduce (without ``.json.gz``), or
        ``unverified``: written from the source, compared with nothing.
    """

    name: str
    code: int
    verified_by: str


VERSIONS = {
    version.name: version
    for version in (
        Version("3.0", V30, "aave_v3_0"),
        Version("3.1", V31, UNVERIFIED),
        Version("3.2", V32, "aave_v3_2"),
        Version("3.3", V33, "aave_v3_3"),
        Version("3.4", V34, "aave_v3_4"),
        Version("3.5", V35, UNVERIFIED),
        Version("3.6", V36, "aave_v3_6, aave_v3_6_book"),
        Version("3.7", V37, "aave_v3_7, aave_v3_7_book"),
    )
}


def version_of(name: str) -> Version:
    """The version for a name such as ``3.6`` or ``3.2.1``; raises UnsupportedError for one that has no rules."""
    version = VERSIONS.get(".".join(name.split(".")[:2]))
    if version is None:
        raise UnsupportedError(f"no rules for Aave v3 version {name!r}; there are rules for {', '.join(VERSIONS)}")
    return version


(
    OK,
    SELF_LIQUIDATION,
    RESERVE_INACTIVE,
    RESERVE_PAUSED,
    SENTINEL_CHECK_FAILED,
    GRACE_PERIOD,
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
    COLLATERAL_CANNOT_BE_LIQUIDATED,
    DEBT_NOT_BORROWED,
    MUST_NOT_LEAVE_DUST,
    INVALID_BURN_AMOUNT,
    ARITHMETIC_PANIC,
    DIVISION_PANIC,
    NO_REASON,
) = range(14)
"""Why a liquidation reverts, in the order in which Pool.liquidationCall finds out; 0 if it does not."""

_NAMES = {
    SELF_LIQUIDATION: "SelfLiquidation()",
    RESERVE_INACTIVE: "ReserveInactive()",
    RESERVE_PAUSED: "ReservePaused()",
    SENTINEL_CHECK_FAILED: "PriceOracleSentinelCheckFailed()",
    GRACE_PERIOD: "LiquidationGraceSentinelCheckFailed()",
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD: "HealthFactorNotBelowThreshold()",
    COLLATERAL_CANNOT_BE_LIQUIDATED: "CollateralCannotBeLiquidated()",
    DEBT_NOT_BORROWED: "SpecifiedCurrencyNotBorrowedByUser()",
    MUST_NOT_LEAVE_DUST: "MustNotLeaveDust()",
    INVALID_BURN_AMOUNT: "InvalidBurnAmount()",
    ARITHMETIC_PANIC: "Panic(0x11)",
    DIVISION_PANIC: "Panic(0x12)",
    NO_REASON: "reverted without a reason",
}

_NUMBERS = {
    RESERVE_INACTIVE: "27",
    RESERVE_PAUSED: "29",
    SENTINEL_CHECK_FAILED: "59",
    GRACE_PERIOD: "97",
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD: "45",
    COLLATERAL_CANNOT_BE_LIQUIDATED: "46",
    DEBT_NOT_BORROWED: "47",
    MUST_NOT_LEAVE_DUST: "103",
    INVALID_BURN_AMOUNT: "25",
}
"""The revert strings of Errors.sol, up to 3.3; custom errors since."""


def revert_name(version: int, code: int) -> str:
    """What the contract reverts with; empty for OK."""
    if code == OK:
        return ""
    return _NUMBERS.get(code, _NAMES[code]) if version < V34 else _NAMES[code]
