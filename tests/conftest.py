"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from fixtures.localchain import LocalChain

# read when SciPy is first imported: matrices here are small and test workers as many as processors, so that threads of
# linear algebra would do nothing but wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# machines are noisy, so no deadlines; the same examples everywhere, so that a failure can be met again
settings.register_profile("unwind", deadline=None, derandomize=True)
settings.load_profile("unwind")


@pytest.fixture(scope="session")
def chain() -> Iterator[LocalChain]:
    """A running node with Aave v3.6, Uniswap v2 and v3, and 300 accounts; one for each test worker.

    Leave it as it is: change it only inside ``undone(chain.node)``, or change a ``fork(chain)``.
    """
    from fixtures.localchain import local_chain

    with local_chain(accounts=300) as built:
        yield built
