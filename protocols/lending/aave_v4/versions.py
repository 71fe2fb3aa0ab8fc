"""Which version of the Aave v4 contracts is modelled, what checked it, and how it names its errors."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import UnsupportedError

V0511 = "0.5.11"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the contracts.

    Attributes
    ----------
    name
        Of the tag, without the v.
    verified_by
        Recorded answers of this version's own bytecode that the rules reproduce (without ``.json.gz``).
    """

    name: str
    verified_by: str


VERSIONS = {V0511: Version(V0511, "aave_v4")}
"""Earlier ones reckon liquidations in asset amounts instead of shares, and round the fee down."""


def version_of(name: str) -> Version:
    """The version for a name such as ``0.5.11`` or ``v0.5.11``; raises UnsupportedError for one without rules."""
    version = VERSIONS.get(name.removeprefix("v"))
    if version is None:
        raise UnsupportedError(f"no rules for Aave v4 version {name!r}; there are rules for {', '.join(VERSIONS)}")
    return version


(
    OK,
    RESERVE_NOT_LISTED,
    SELF_LIQUIDATION,
    INVALID_DEBT_TO_COVER,
    RESERVE_PAUSED,
    RESERVE_NOT_SUPPLIED,
    RESERVE_NOT_BORROWED,
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
    RESERVE_NOT_ENABLED_AS_COLLATERAL,
    CANNOT_RECEIVE_SHARES,
    MUST_NOT_LEAVE_DUST,
    INVALID_AMOUNT,
    SPOKE_NOT_ACTIVE,
    SPOKE_HALTED,
    INSUFFICIENT_LIQUIDITY,
    INVALID_PREMIUM_CHANGE,
) = range(16)
"""Why a liquidation reverts, in about the order in which Spoke.liquidationCall finds out; 0 if it does not."""

_SIGNATURES = {
    RESERVE_NOT_LISTED: "ReserveNotListed()",
    SELF_LIQUIDATION: "SelfLiquidation()",
    INVALID_DEBT_TO_COVER: "InvalidDebtToCover()",
    RESERVE_PAUSED: "ReservePaused()",
    RESERVE_NOT_SUPPLIED: "ReserveNotSupplied()",
    RESERVE_NOT_BORROWED: "ReserveNotBorrowed()",
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD: "HealthFactorNotBelowThreshold()",
    RESERVE_NOT_ENABLED_AS_COLLATERAL: "ReserveNotEnabledAsCollateral()",
    CANNOT_RECEIVE_SHARES: "CannotReceiveShares()",
    MUST_NOT_LEAVE_DUST: "MustNotLeaveDust()",
    INVALID_AMOUNT: "InvalidAmount()",
    SPOKE_NOT_ACTIVE: "SpokeNotActive()",
    SPOKE_HALTED: "SpokeHalted()",
    INSUFFICIENT_LIQUIDITY: "InsufficientLiquidity(uint256)",
    INVALID_PREMIUM_CHANGE: "InvalidPremiumChange()",
}


def revert_name(code: int) -> str:
    """Signature of the custom error that the contract reverts with; empty for OK."""
    return "" if code == OK else _SIGNATURES[code]
