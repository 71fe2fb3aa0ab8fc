"""Venus' core pool as the engine steps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chain.errors import InputError
from protocols.lending.closing import code_of
from protocols.lending.compound_v2 import rules as compound_v2
from protocols.lending.compound_v2.market import Clock, CompoundV2Market, Done
from protocols.lending.compound_v2.state import WAD, Markets, Pools, Positions, copied
from protocols.lending.compound_v2.versions import Version
from protocols.lending.interface import ClosingTerms
from protocols.lending.venus_core.rules import Guards, Settings, accrue, liquidate
from protocols.lending.venus_core.versions import FAILURES, NO_CASH, revert_of, version_of


class VenusCoreMarket(CompoundV2Market):
    """The core pool's markets: Compound v2's, with Venus' rules.

    Liquidators go through the Liquidator contract where the comptroller lets nobody else liquidate. A call that a
    vToken answers with an error, instead of reverting, is undone all the same: a liquidator's contract looks at the
    answer.

    Parameters
    ----------
    name, version, accounts, tokens, markets, pools, positions, clock
        As :class:`CompoundV2Market` takes them; versions are e.g. ``10.3``, and `pools` are effective
        (:func:`protocols.lending.venus_core.pools.effective`).
    guards
        What Venus' markets have besides (lists); copied.
    settings
        The comptroller's and the Liquidator's.
    """

    protocol = "venus_core"

    def __init__(
        self,
        name: str,
        version: str,
        accounts: Sequence[str],
        tokens: Sequence[str],
        markets: Markets,
        guards: Guards,
        pools: Pools,
        positions: Positions,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._guards = copied(guards)
        if any(len(column) != len(tokens) for column in guards):
            raise InputError(f"market {name}: every column of its guards should have {len(tokens)} rows")
        self._venus = settings
        compounds = compound_v2.Settings(settings.close_factor_wad, seize_paused=False)
        super().__init__(name, version, accounts, tokens, markets, pools, positions, compounds, clock)
        self._skip_empty = settings.skip_empty

    def _version_of(self, name: str) -> Version:
        return version_of(name)

    def _accrue(self, m: int) -> bool:
        return accrue(self._markets, self._guards, m, self._block)

    def _open(self, entry: int) -> bool:
        return bool(self._guards.forced[self._positions.market[entry]] or self._positions.forced[entry])

    def _liquidate(self, call: compound_v2.Call) -> Done:
        state = (self._markets, self._guards, self._pools, self._positions)
        through = self._venus.liquidator_only
        done = liquidate(*state, self._venus, call, through, self._block)
        return Done(done.error, done.repaid, done.seized - done.kept, done.treasury_raw)

    def _refusal(self, error: int) -> str:
        if error in FAILURES and not self._venus.liquidator_only:
            return str(FAILURES[error])
        return str(revert_of(error, self._venus.liquidator_only))

    def closing_terms(self) -> ClosingTerms:
        """The comptroller's close factor, and what the Liquidator keeps of the bonus where it cannot be avoided."""
        kept = self._venus.treasury_share_wad / WAD if self._venus.liquidator_only else 0.0
        return ClosingTerms(
            code_of(self.protocol), np.array([float(self._venus.close_factor_wad)]), np.full(len(self.tokens), kept)
        )

    _no_cash = NO_CASH

    def _save(self, account: int) -> Callable[[], None]:
        restore_rest = super()._save(account)
        guards = copied(self._guards)

        def restore() -> None:
            restore_rest()
            self._guards = guards

        return restore
