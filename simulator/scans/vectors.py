"""Price vectors as people keep them: a table with a column a token and a row a vector, US dollars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chain.errors import InputError
from simulator.book import Book, open_book, opened
from simulator.scans.sweep import Sweep, sweep_of
from simulator.scenario import find

if TYPE_CHECKING:
    import pandas as pd

    from chain.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]


def sweep(snapshot: Snapshot | Path | str, prices: pd.DataFrame | Path | str) -> Sweep:
    """What is liquidatable under each of many price vectors, on a snapshot as it stands: nothing is sold.

    Parameters
    ----------
    snapshot
        A snapshot, or its folder.
    prices
        A table as :func:`vectors` takes it, or its file.

    Raises
    ------
    InputError
        If the snapshot or the table is not as it should be.
    """
    book = open_book(opened(snapshot))
    if isinstance(prices, Path | str):
        path = Path(prices)
        return sweep_of(book, vectors(book, read_vectors(path), str(path)))
    return sweep_of(book, vectors(book, prices))


def vectors(book: Book, prices: pd.DataFrame, where: str = "prices") -> FloatArray:
    """The price of every token of a book in each vector.

    Parameters
    ----------
    prices
        One column a token, by symbol or address, and one row a vector: the outside price of one whole token, US
        dollars. A token without a column stays at today's outside price, even if it is a claim on one that moves.
    where
        What to call the table in messages.

    Returns
    -------
    Shape (vectors, tokens of the book).

    Raises
    ------
    InputError
        If there is no row, a column names no token of the book or one that another has, or a cell is no positive
        number.
    """
    import pandas as pd

    if prices.empty:
        raise InputError(f"{where}: there is no price vector; give a column a token and a row a vector")
    names = [token.names for token in book.tokens]
    found = np.tile(book.outside_usd, (len(prices), 1))
    given: dict[int, str] = {}
    for column in prices.columns:
        token = find(str(column).strip(), names, where)
        if token in given:
            raise InputError(f"{where}: {given[token]} and {column} are the same token")
        given[token] = str(column)
        values = pd.to_numeric(prices[column], errors="coerce").to_numpy(dtype=np.float64)
        for row in np.flatnonzero(~(np.isfinite(values) & (values > 0.0))):
            said = prices[column].iloc[int(row)]
            raise InputError(f"{where}: vector {row + 1}: the price of {column} is {said}, should be more than 0")
        found[:, token] = values
    return found


def read_vectors(path: Path) -> pd.DataFrame:
    """The table of a file, ``.csv`` or ``.parquet``; raises InputError where it cannot be read."""
    import pandas as pd

    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path} is not there") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
