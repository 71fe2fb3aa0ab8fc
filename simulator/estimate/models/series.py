"""The user's own prices, from which every parameter of a model is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chain.errors import InputError

FloatArray = npt.NDArray[np.float64]
FEWEST = 30
"""Returns below which nothing is estimated."""


@dataclass(frozen=True)
class Series:
    """Prices of some assets at even intervals.

    Attributes
    ----------
    assets
        Names, as tokens are called in a snapshot.
    step_s
        Seconds from one row to the next.
    prices
        Shape (rows, assets), in any unit.
    """

    assets: tuple[str, ...]
    step_s: float
    prices: FloatArray

    @cached_property
    def returns(self) -> FloatArray:
        """Shape (rows - 1, assets): differences of logarithms."""
        return np.asarray(np.diff(np.log(self.prices), axis=0))

    @cached_property
    def moves(self) -> FloatArray:
        """Shape (rows - 1, assets): differences of logarithms where a price falls, and shares of it where it rises.

        Falls of any size leave a price above nothing, and rises with the tails of Student's t have a mean: of their
        exponential there is none, so that an expected debt in a volatile asset would be infinite.
        """
        return np.where(self.returns < 0.0, self.returns, np.expm1(self.returns))

    def column(self, asset: str) -> int:
        """Where an asset stands.

        Raises
        ------
        InputError
            If it does not.
        """
        if asset not in self.assets:
            raise InputError(f"the series has no column {asset}; it has {', '.join(self.assets)}")
        return self.assets.index(asset)

    def only(self, assets: tuple[str, ...]) -> Series:
        """The same with some assets only; raises InputError if one is missing."""
        return Series(assets, self.step_s, self.prices[:, [self.column(asset) for asset in assets]])


def read_series(path: Path | str) -> Series:
    """Prices from a CSV or Parquet file: a column ``time`` (unix seconds, or dates as ISO 8601 writes them), and one
    column an asset.

    Raises
    ------
    InputError
        If the file cannot be read, a time or a price is missing or no price, or times are not evenly spaced.
    """
    import pandas as pd

    path = Path(path)
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable CSV or Parquet file of prices: {error}") from None
    if "time" not in frame.columns:
        raise InputError(f"{path} has no column time; it has {', '.join(map(str, frame.columns))}")
    seconds = _seconds(frame["time"], path)
    prices = frame.drop(columns="time").apply(pd.to_numeric, errors="coerce")
    values = prices.to_numpy(dtype=np.float64)
    if values.shape[1] == 0 or len(values) <= FEWEST:
        raise InputError(f"{path} has {len(values)} rows of {values.shape[1]} assets; give {FEWEST + 1} rows or more")
    bad = np.argwhere(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        row, column = bad[0]
        raise InputError(f"{path}, row {row + 1}: {prices.columns[column]} is no price; fill the gap or drop the rows")
    steps = np.diff(seconds)
    uneven = np.flatnonzero((steps <= 0) | (np.abs(steps - steps[0]) > 1e-6 * abs(steps[0])))
    if steps[0] <= 0 or len(uneven):
        row = int(uneven[0]) + 2 if len(uneven) else 2
        raise InputError(f"{path}, row {row}: times are not evenly spaced upwards; resample the series to one interval")
    return Series(tuple(str(name) for name in prices.columns), float(steps[0]), values)


def _seconds(times: object, path: Path) -> FloatArray:
    import pandas as pd

    column = pd.Series(times)
    if pd.api.types.is_numeric_dtype(column):
        seconds = column.to_numpy(dtype=np.float64)
    else:
        dates = pd.to_datetime(
            column, utc=True, errors="coerce", format=None if column.dtype.kind == "M" else "ISO8601"
        )
        seconds = np.where(dates.isna(), np.nan, (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1))
    if not np.isfinite(seconds).all():
        row = int(np.flatnonzero(~np.isfinite(seconds))[0]) + 1
        raise InputError(f"{path}, row {row}: time is neither unix seconds nor a date such as 2024-08-05T00:00:00Z")
    return np.asarray(seconds, dtype=np.float64)
