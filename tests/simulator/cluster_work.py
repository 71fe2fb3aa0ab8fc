"""What tests have the workers of a cluster do, who know it by its name; little is imported, since each of them does."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chain.errors import UnsupportedError
from simulator.estimate.cascading import CascadingBook

BOOK = CascadingBook.by_hand(4)


@dataclass(frozen=True)
class Slow:
    """The losses of a book, at leisure."""

    seconds: float

    def __call__(self, prices: np.ndarray) -> np.ndarray:
        time.sleep(self.seconds)
        return BOOK.losses(prices)


@dataclass
class Counted:
    """Leaves a line in a file wherever it is unpickled."""

    path: Path

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        with self.path.open("a") as file:
            file.write(f"{os.getpid()}\n")


def twice(shared: object, item: int) -> int:
    return 2 * item


def refuse(shared: object, item: int) -> int:
    raise UnsupportedError(f"{item} is not modelled")


def sleep_and_tell(shared: object, item: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def end(shared: object, item: int) -> int:
    os._exit(1)
