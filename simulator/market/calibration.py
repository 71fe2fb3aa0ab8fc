"""Where the four parameters of price impact and the exponent of a book's law come from: fits on real data.

``python -m simulator.market.calibration FOLDER`` refits them on a folder with the files named below, and prints each
with its interval: 95 % of block bootstraps, by day for pools and by hour for quotes, which are of one day. What the
data only bound, or do not know at all, is said so; simulator/README.md has the reasoning.

Trades (`TRADES`): moves of one block in the WBTC/WETH 0.3 % pool by `LARGE` ticks or more, three times its fee, so that
few are arbitrage of a smaller gap. The share R of a move that is left after t seconds is a regression of the pool's
price change since before it on the move, and is fitted by

    R(t) = reach (permanent + (1 - permanent) 2^(-t / RECOVERY_S)) + (1 - reach) 2^(-t / half-life)

Positions (`POSITIONS`): the pool's book of ranges is rebuilt day by day; liquidity around a day's last price, over what
it is there in the book of the day before, is regressed on the size of the day's move.

Quotes (`QUOTES`): loss of the mean price by size over all venues of an aggregator.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chain.blocktime import block_ms
from chain.errors import InputError
from simulator.market.impact import RECOVERY_S

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]

TRADES = "uniswap_v3_ethwbtc_trade_history_to_block17M.parquet"
POSITIONS = "uniswap_v3_ethwbtc_net_liquidity_to_block17M.parquet"
QUOTES = "oneinch_quotes_8tokens_2023-11.parquet"
STABLE = "uniswap_v3_usdc_usdt_hourly_state_2022-01_2026-01.parquet"
DEPEG = "uniswap_v3_usde_usdt_blocklevel_2025-10-10.parquet"

LARGE = 90
"""Ticks (0.01 %) from which on a block's move is large: three times the pool's fee of 0.3 %."""
AFTER = np.array([1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 450, 600, 800, 1000, 1500, 2000, 3000])
"""Blocks after a move at which what is left of it is measured: up to half a day."""
BLOCK_S = block_ms(1, 1_640_995_200) / 1000
"""Seconds a block of the years of the trades, nearly all from before the merge."""
DAY = 6_500
"""Blocks of a day then."""
NEAR = 300
"""Ticks either side of the price within which liquidity counts as active: 3 %."""
DRAWS = 400
SEED = 20240805

_TICK = np.log(1.0001)
_SMALLEST = 6
_SIZES = 15
_LOSS = (0.003, 0.3)
"""Mean losses that show a law: more than quotes scatter by, less than runs them out."""
_WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
_WBTC = "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"
_WSTETH = "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0"
_DOLLARS = ("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "0xdac17f958d2ee523a2206206994597c13d831ec7")
_DEEP = [(a, b) for v in (_WETH, _WBTC, _WSTETH) for d in _DOLLARS for a, b in ((v, d), (d, v))] + [
    (_WETH, _WBTC),
    (_WBTC, _WETH),
]
"""Pairs whose quotes stay below a loss of a third at every size: the others run out of depth."""


@dataclass(frozen=True)
class Estimate:
    """What the data say of one figure.

    Attributes
    ----------
    name
        A field of `simulator.scenario.Venues`, or what else is measured.
    value, low, high
        The fit and its interval.
    note
        What kind of knowledge that is.
    """

    name: str
    value: float
    low: float
    high: float
    note: str


def calibrate(folder: Path) -> list[Estimate]:
    """Every fit, the four parameters first; the same to the last digit wherever it is run.

    Raises
    ------
    InputError
        If a file is not in the folder or not as it should be.
    """
    trades, positions, quotes = (_read(folder, name) for name in (TRADES, POSITIONS, QUOTES))
    reach, half_life, permanent = impulse_response(trades)
    net, gross = liquidity_after_moves(trades, positions)
    return [
        Estimate(
            "impact",
            reach.value / 2,
            0.0,
            reach.high,
            "bounded from above by the reach of a pool's move; the middle of what that leaves",
        ),
        permanent,
        half_life,
        Estimate(
            "withdrawal",
            max(0.0, -net.value),
            0.0,
            -gross.low,
            "none on balance; up to what leaves if nobody comes instead",
        ),
        reach,
        net,
        gross,
        law_exponent(quotes),
        pool_over_market(trades, positions, quotes),
        active_liquidity(_read(folder, STABLE)),
        depeg_exit(_read(folder, DEPEG)),
    ]


# --- trades: reach, permanence and arbitrage -----------------------------------------------------------------------


def remaining_share(seconds: FloatArray, reach: float, half_life: float, permanent: float) -> FloatArray:
    """Share of a pool's move that is left after so many seconds: R of this module."""
    outside = permanent + (1.0 - permanent) * 0.5 ** (seconds / RECOVERY_S)
    return np.asarray(reach * outside + (1.0 - reach) * 0.5 ** (seconds / half_life))


def impulse_response(trades: pd.DataFrame) -> tuple[Estimate, Estimate, Estimate]:
    """Reach of a pool's move, half-life of arbitrage, seconds, and the permanent share, from what follows large moves.

    News moves pools for good without anybody's selling, and is in all of it: reach and permanent share are too large.
    """
    from scipy.optimize import curve_fit

    blocks, ticks = _closing_ticks(trades)
    large = np.flatnonzero(np.abs(np.diff(ticks)) >= LARGE) + 1
    moves = ticks[large] - ticks[large - 1]
    later = np.searchsorted(blocks, blocks[large][:, None] + AFTER, side="right") - 1
    since = ticks[later] - ticks[large - 1][:, None]
    _, day = np.unique(blocks[large] // DAY, return_inverse=True)
    joint, own = np.zeros((day.max() + 1, len(AFTER))), np.zeros(day.max() + 1)
    np.add.at(joint, day, since * moves[:, None])
    np.add.at(own, day, moves**2)

    def shares(days: npt.NDArray[np.int64]) -> FloatArray:
        return np.asarray(joint[days].sum(axis=0) / own[days].sum())

    drawn = np.array([shares(days) for days in _draws(len(own))])
    scatter = drawn.std(axis=0)

    def fit(left: FloatArray) -> FloatArray:
        found, _ = curve_fit(
            remaining_share,
            AFTER * BLOCK_S,
            left,
            p0=(0.6, 20.0, 0.5),
            sigma=scatter,
            bounds=((0.0, 1.0, 0.0), (1.0, 600.0, 1.0)),
        )
        return np.asarray(found)

    value, fits = fit(shares(np.arange(len(own)))), np.array([fit(left) for left in drawn])
    notes = (
        f"share of a large move left once arbitrage is over ({len(large)} moves on {len(own)} days); news included",
        "seconds; well identified",
        "hardly identified: the interval is nearly all there is",
    )
    names = ("reach of a pool's move", "arbitrage_half_life_s", "permanent")
    reach, half_life, permanent = (
        Estimate(name, float(value[n]), *_interval(fits[:, n]), note)
        for n, (name, note) in enumerate(zip(names, notes, strict=True))
    )
    return reach, half_life, permanent


# --- positions: who leaves ------------------------------------------------------------------------------------------


def liquidity_after_moves(trades: pd.DataFrame, positions: pd.DataFrame) -> tuple[Estimate, Estimate]:
    """Slopes of log liquidity around the new price on the size of the day's move, unit: of log move.

    Net: everything that came and went. Gross: only what went of the ranges of the day before.
    """
    blocks, ticks = _closing_ticks(trades)
    ranges, liquidity_at = _book(positions)
    # the pool's first weeks, in which it filled, are not of a piece with the rest
    days = np.arange(blocks[0] + 15 * DAY, blocks[-1], DAY)
    tick = ticks[np.searchsorted(blocks, days, side="right") - 1]
    books = liquidity_at(days)
    moves, net, gross = [], [], []
    for n in range(1, len(days)):
        cover = np.minimum(ranges[:, 1], tick[n] + NEAR) - np.maximum(ranges[:, 0], tick[n] - NEAR)
        cover = np.clip(cover, 0, None)
        was, now, kept = (float(book @ cover) for book in (books[n - 1], books[n], np.minimum(books[n - 1], books[n])))
        moves.append(abs(tick[n] - tick[n - 1]) * _TICK)
        net.append(np.log(now / was))
        gross.append(np.log(kept / was))
    found = []
    for name, values, note in (
        ("liquidity after a move, net", net, "positive: providers come after the price"),
        ("liquidity after a move, gross", gross, "what leaves, on top of what leaves on a still day"),
    ):
        slope = _slope(np.array(moves), np.array(values))
        every = np.arange(len(moves))
        drawn = np.array([slope(draw) for draw in _draws(len(moves))])
        found.append(Estimate(name, slope(every), *_interval(drawn), note))
    return found[0], found[1]


def _slope(x: FloatArray, y: FloatArray) -> Callable[[npt.NDArray[np.int64]], float]:
    def slope(rows: npt.NDArray[np.int64]) -> float:
        return float(np.polyfit(x[rows], y[rows], 1)[0])

    return slope


def _book(positions: pd.DataFrame) -> tuple[FloatArray, Callable[[npt.NDArray[np.int64]], FloatArray]]:
    """Every range (lower and upper tick), and a function that gives the liquidity of each as of ascending blocks."""
    ordered = positions.sort_values("block_number", kind="stable")
    ranges, which = np.unique(ordered[["tick_lower", "tick_upper"]].to_numpy(), axis=0, return_inverse=True)
    which = which.ravel()
    block, liquidity = ordered["block_number"].to_numpy(), ordered["liquidity"].to_numpy().clip(min=0.0)

    def liquidity_at(blocks: npt.NDArray[np.int64]) -> FloatArray:
        state, done, books = np.zeros(len(ranges)), 0, []
        for until in np.searchsorted(block, blocks, side="right"):
            # of several rows of one range the last stands
            state[which[done:until]] = liquidity[done:until]
            done = until
            books.append(state.copy())
        return np.array(books)

    return ranges.astype(np.float64), liquidity_at


# --- quotes: the law, and a pool's part of the market ----------------------------------------------------------------


def law_exponent(quotes: pd.DataFrame) -> Estimate:
    """Exponent b of the mean loss c q^b over the deep pairs, each with a c of its own: 1 is linear, 1/2 square root."""
    hour = _hours(quotes)
    curves = [_Curve(quotes, hour, *pair) for pair in _DEEP]

    def exponent(hours: npt.NDArray[np.int64]) -> float:
        x, y = [], []
        for curve in curves:
            size, loss = curve.losses(hours)
            # from the smallest size on that no larger one is quoted better than the threshold
            seen = (np.minimum.accumulate(loss[::-1])[::-1] > _LOSS[0]) & (loss < _LOSS[1])
            if seen.sum() > 1:
                x.append(np.log(size[seen]) - np.log(size[seen]).mean())
                y.append(np.log(loss[seen]) - np.log(loss[seen]).mean())
        all_x, all_y = np.concatenate(x), np.concatenate(y)
        return float(all_x @ all_y / (all_x @ all_x))

    count = int(hour.max()) + 1
    drawn = np.array([exponent(draw) for draw in _draws(count)])
    note = f"of the mean loss in the size, {len(_DEEP)} pairs on one calm day: nearly linear, no square root"
    return Estimate("exponent of the law", exponent(np.arange(count)), *_interval(drawn), note)


class _Curve:
    """Loss of the mean price against that of the hour's smallest quotes, by size."""

    def __init__(self, quotes: pd.DataFrame, hour: npt.NDArray[np.int64], sold: str, bought: str) -> None:
        own = ((quotes["src"] == sold) & (quotes["dst"] == bought)).to_numpy()
        table = quotes[own].assign(hour=hour[own]).sort_values("in_amount")
        best = table.groupby("hour").head(_SMALLEST).groupby("hour")["price"].median()
        self._hour = table["hour"].to_numpy()
        self._size = table["in_amount"].to_numpy()
        self._loss = 1.0 - table["price"].to_numpy() / table["hour"].map(best).to_numpy()
        edges = np.quantile(self._size, np.linspace(0, 1, _SIZES + 1))
        self._bin = np.clip(np.searchsorted(edges, self._size, side="right") - 1, 0, _SIZES - 1)

    def losses(self, hours: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Median size and median loss of each size class over these hours, an hour as often as it is named."""
        times = np.bincount(hours, minlength=int(self._hour.max()) + 1)[self._hour]
        rows = np.repeat(np.arange(len(times)), times)
        found = [rows[self._bin[rows] == n] for n in range(_SIZES)]
        medians = [(np.median(self._size[r]), np.median(self._loss[r])) for r in found if len(r)]
        size, loss = zip(*medians, strict=True)
        return np.array(size), np.array(loss)


def pool_over_market(trades: pd.DataFrame, positions: pd.DataFrame, quotes: pd.DataFrame) -> Estimate:
    """WBTC that the WBTC/WETH pool alone took for a mean loss of 3 %, over what the whole market on chain takes.

    The pool's last book is seven months older than the quotes, so this says which is of what order and no more.
    """
    blocks, ticks = _closing_ticks(trades)
    ranges, liquidity_at = _book(positions)
    liquidity, now = liquidity_at(blocks[-1:])[0], ticks[-1]
    falls = np.arange(10.0, 2_000.0, 10.0)
    roots = [np.exp(_TICK / 2 * ticks) for ticks in (ranges[:, 0], ranges[:, 1], now - falls)]
    top, price = np.exp(_TICK / 2 * now), np.exp(_TICK * now)
    low, high = np.maximum(roots[0], roots[2][:, None]), np.minimum(roots[1], top)
    inside = np.where(high > low, liquidity, 0.0)
    sold = (inside * (1 / low - 1 / high)).sum(axis=1)
    got = (inside * (high - low)).sum(axis=1)
    in_pool = float(np.interp(0.03, 1.0 - got / sold / price, sold))
    hour = _hours(quotes)
    curve = _Curve(quotes, hour, _WBTC, _WETH)

    def ratio(hours: npt.NDArray[np.int64]) -> float:
        size, loss = curve.losses(hours)
        return in_pool / float(np.interp(0.03, loss, size))

    count = int(hour.max()) + 1
    drawn = np.array([ratio(draw) for draw in _draws(count)])
    note = "depth for a loss of 3 %; the pool was about all of the market on chain, so its reach bounds the impact"
    return Estimate("pool over market on chain", ratio(np.arange(count)), *_interval(drawn), note)


# --- stable pools: what cannot be told ------------------------------------------------------------------------------


def active_liquidity(states: pd.DataFrame) -> Estimate:
    """Slope of the log of active liquidity on the size of the day's move in the USDC/USDT pool.

    Ranges that the price has left count as gone here, so this says nothing of who has left.
    """
    daily = states.iloc[::24]
    move = np.abs(np.diff(daily["poolTick"].to_numpy(np.float64))) * _TICK
    change = np.diff(np.log(daily["poolLiquidity"].to_numpy(np.float64)))
    slope = _slope(move, change)
    drawn = np.array([slope(draw) for draw in _draws(len(move))])
    note = "not used: ranges left behind and ranges withdrawn cannot be told apart"
    return Estimate("active liquidity, USDC/USDT", slope(np.arange(len(move))), *_interval(drawn), note)


def depeg_exit(blocks: pd.DataFrame) -> Estimate:
    """Share of the USDe/USDT pool's value that left on 10 October 2025, from its most to its least after that."""
    value = blocks["totalValueLockedUSD"].astype(float).to_numpy()
    left = float(1.0 - value[int(value.argmax()) :].min() / value.max())
    note = "not used: one event, and the pool's own price hardly moved while another venue's fell by a third"
    return Estimate("value that left, USDe/USDT", left, left, left, note)


# --- common ---------------------------------------------------------------------------------------------------------


def _closing_ticks(trades: pd.DataFrame) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Blocks in which there were trades, and the tick after the last trade of each."""
    ordered = trades.sort_values("block_number", kind="stable")
    ticks = ordered.groupby("block_number")["tick"].last()
    return ticks.index.to_numpy(np.int64), ticks.to_numpy(np.float64)


def _hours(quotes: pd.DataFrame) -> npt.NDArray[np.int64]:
    times = quotes["timestamp"].to_numpy(np.int64)
    return np.asarray((times - times.min()) // 3600)


def _draws(count: int) -> npt.NDArray[np.int64]:
    """Rows of every bootstrap: `count` of `count`, with replacement; shape (DRAWS, count)."""
    return np.random.default_rng(SEED).integers(0, count, (DRAWS, count))


def _interval(drawn: FloatArray) -> tuple[float, float]:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def _read(folder: Path, name: str) -> pd.DataFrame:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        frame: Any = pq.read_table(folder / name).to_pandas()
    except FileNotFoundError:
        raise InputError(f"{folder} has no {name}: the fit needs it; give the folder that holds it") from None
    except (OSError, ArrowException) as error:
        raise InputError(f"{folder / name} cannot be read: {error}") from None
    return frame  # type: ignore[no-any-return]


def main() -> None:
    """Refit on a folder and print."""
    parser = argparse.ArgumentParser(description="Fits the four parameters of price impact on data.")
    parser.add_argument("folder", type=Path, help=f"holds {TRADES} and the other files")
    for found in calibrate(parser.parse_args().folder):
        print(f"{found.name:30} {found.value:10.4g}  [{found.low:.4g}, {found.high:.4g}]  {found.note}")


if __name__ == "__main__":
    main()
