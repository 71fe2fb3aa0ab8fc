"""Every cascade that a test of this folder runs is run with a ledger beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from simulator.cascade import Cascade, Record
from tests.simulator.ledger import Ledger


@pytest.fixture(scope="package", autouse=True)
def _conserved() -> Iterator[None]:
    run = Cascade.run

    def audited(cascade: Cascade, progress: Callable[[int, int], None] | None = None) -> Record:
        ledger = Ledger(cascade.book)
        with ledger.watch():
            record = run(cascade, progress)
        ledger.check(record)
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cascade, "run", audited)
        yield
