"""Which Aave v2 contracts are modelled, how that was checked, and how they name their errors."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the contracts.

    Attributes
    ----------
    name
        As a market's `version` says it.
    verified_by
        Recorded answers of this version's own bytecode that the rules reproduce (without ``.json.gz``).
    """

    name: str
    verified_by: str


V20 = "2.0"
VERSIONS = {V20: Version(V20, "aave_v2")}
"""The one version: in aave/protocol-v2 the liquidation has not changed since its release."""


def version_of(name: str) -> Version:
    """The version for a name; raises UnsupportedError for one that has no rules."""
    if name not in VERSIONS:
        raise UnsupportedError(f"no rules for Aave v2 version {name!r}; there are rules for {', '.join(VERSIONS)}")
    return VERSIONS[name]


(
    OK,
    POOL_PAUSED,
    RESERVE_INACTIVE,
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
    COLLATERAL_CANNOT_BE_LIQUIDATED,
    DEBT_NOT_BORROWED,
    NOT_ENOUGH_LIQUIDITY,
    CALL_FAILED,
) = range(8)
"""Why a liquidation reverts, in the order in which LendingPool.liquidationCall finds out; 0 if it does not."""

REVERTS = {
    OK: "",
    POOL_PAUSED: "64",
    RESERVE_INACTIVE: "2",
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD: "42",
    COLLATERAL_CANNOT_BE_LIQUIDATED: "43",
    DEBT_NOT_BORROWED: "44",
    NOT_ENOUGH_LIQUIDITY: "45",
    CALL_FAILED: "23",
}
"""The revert strings of Errors.sol. Whatever reverts inside the collateral manager comes out as 23."""
