"""Reverse stress: the most plausible shock that does so much damage, and others that differ from it in kind.

A shock is a vector of logarithms of what becomes of prices over the horizon. How plausible it is its Mahalanobis
distance says, under the covariance of the model's own moves over the horizon (Breuer, Jandacka, Rheinberger and Summer
2009, *Int. J. of Central Banking* 5): in normal moves, and all others with elliptical contours, shocks at one distance
are as likely as one another, and nearer ones more so. The one sought is the point of the damaging region that is
nearest to no shock at all (Glasserman, Kang and Kang 2015, *Quantitative Finance* 15, seek the most likely point in
the same sense; in structural reliability it is the design point of Hasofer and Lind 1974). The region may have several
parts, and the nearest point of each is a way of its own in which the damage comes about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chain.errors import InputError
from chain.snapshot import Snapshot
from simulator.estimate.drawn import Source
from simulator.estimate.importance import Losses
from simulator.estimate.liquidated import Liquidated, liquidated
from simulator.estimate.losses import EconomicBadDebt
from simulator.estimate.models.draws import Independent
from simulator.estimate.models.model import FloatArray, IntArray, PriceModel, root
from simulator.estimate.rays import SCAN, Rays, bearers
from simulator.estimate.run import behaving, losses_of
from simulator.scheduling import here, pool

if TYPE_CHECKING:
    import pandas as pd

    from simulator.scenario import Scenario

KIND = 0.9
"""Cosine of two shocks' directions, in units of standard deviation, below which they differ in kind."""
_ONE = 0.995
"""Cosine above which two searches have come to the same point."""
_MOST = 5
_RANDOM_RAYS, _PAIRED, _REFINED = 256, 12, 24
_ROUNDS = 40
_ALL = 3 * SCAN + _ROUNDS
"""Rounds: the first rays, the pairs, the points that are left, and what brings those nearer."""
_BLENDS = (1.0, 0.5, 0.25, 0.1)
"""Of the way from a ray to the gradient."""
_TRIES, _SPREAD = 8, 0.1
"""Random neighbours, and how far off: less than what makes another kind, or searches would leave their part."""
_NUMBERS, _FEWEST, _MOVES = 2**24, 2**12, 2**16
"""Of the moves that are drawn: numbers, and how many moves at least and at most."""


@dataclass(frozen=True)
class Shock:
    """A shock that does the damage.

    Attributes
    ----------
    moves
        Shape (assets,): shares by which prices move, such as -0.4.
    distance
        From no shock, in standard deviations.
    normal_chance
        That a normal move goes at least as far in this direction: 1 - Phi(distance). It is the chance of the damage
        itself if its region ends in a plane there, and less than that of heavier tails.
    model_chance
        The same of the model: share of the moves drawn from it.
    losses_usd
        Shape (outputs,).
    liquidated
        The same if liquidators act on the way, where that was asked for.
    """

    moves: FloatArray
    distance: float
    normal_chance: float
    model_chance: float
    losses_usd: FloatArray
    liquidated: Liquidated | None = None


@dataclass(frozen=True)
class Reverse:
    """Shocks that do a damage, the most plausible first, each of another kind.

    Attributes
    ----------
    assets, outputs
        What has a price, and what loses: all markets together, then each.
    target_usd
        The damage asked for, of the first output.
    shocks
        They differ in direction (cosine below `KIND`) or in the market that bears most of the loss.
    facts
        How they were found: JSON values.
    """

    assets: tuple[str, ...]
    outputs: tuple[str, ...]
    target_usd: float
    shocks: tuple[Shock, ...]
    facts: Mapping[str, Any]

    @property
    def drawn(self) -> int:
        """Moves drawn from the model."""
        return int(self.facts["moves"])

    def records(self) -> list[dict[str, Any]]:
        """The shocks as JSON values: `Shock`'s fields, moves by asset and losses by output. No multiple is null, and so
        is all that was not asked for."""
        return [
            {
                "distance": shock.distance,
                "normal_chance": shock.normal_chance,
                "model_chance": shock.model_chance,
                "moves": dict(zip(self.assets, shock.moves.tolist(), strict=True)),
                "losses_usd": self._by_output(shock.losses_usd),
                "liquidated": None if shock.liquidated is None else self._record(shock.liquidated),
            }
            for shock in self.shocks
        ]

    def _record(self, found: Liquidated) -> dict[str, Any]:
        return {
            "losses_usd": self._by_output(found.losses_usd),
            "multiple": found.multiple if math.isfinite(found.multiple) else None,
            "furthest": found.furthest,
        }

    def _by_output(self, losses: FloatArray) -> dict[str, float]:
        return dict(zip(self.outputs, losses.tolist(), strict=True))

    def frame(self) -> pd.DataFrame:
        """One row a shock: distance, chances, the move of each asset, the loss of each output; and where that was asked
        for the multiple and the loss of each output with liquidators."""
        import pandas as pd

        rows = []
        for each in self.records():
            row = {name: each[name] for name in ("distance", "normal_chance", "model_chance")}
            row |= {f"move {asset}": move for asset, move in each["moves"].items()}
            row |= {f"loss_usd {output}": loss for output, loss in each["losses_usd"].items()}
            if (acting := each["liquidated"]) is not None:
                row |= {"liquidated multiple": acting["multiple"], "liquidated furthest": acting["furthest"]}
                row |= {f"liquidated loss_usd {output}": loss for output, loss in acting["losses_usd"].items()}
            rows.append(row)
        return pd.DataFrame(rows)


def reverse_stress(
    snapshot: Snapshot | Path | str,
    model: PriceModel,
    target_usd: float,
    *,
    follow: Mapping[str, str] | None = None,
    liquidations: bool = True,
    like: Scenario | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reverse:
    """The most plausible shocks that leave a snapshot's book with so much economic bad debt.

    Parameters
    ----------
    snapshot
        A snapshot, or its folder.
    model
        Price paths; what counts is how far they are from the start at their end.
    target_usd
        Bad debt of all markets together, if nobody liquidates before.
    follow
        As `losses.EconomicBadDebt.of` takes it.
    liquidations
        Whether to run each shock that is found with liquidators who act on the way, and look how many times as large it
        must be to do the damage then (`liquidated`). What is found is the same.
    like
        The scenario whose oracles, liquidators and venues are taken; defaults otherwise.
    seed
        Of the moves that are drawn from the model, and of the directions in which the search begins.
    workers
        Threads; as many as there are processors if absent. The result is the same with any.
    progress
        Called with rounds done and to do.

    Raises
    ------
    InputError
        If a token has no price path, or no shock that was looked at does the damage, or the book has it already, or
        liquidators could sell nowhere.
    UnsupportedError
        If the scenario has what random paths cannot.
    """
    from simulator.book import open_book, opened

    taken = opened(snapshot)
    book = open_book(taken)
    losses = EconomicBadDebt.of(book, model.assets, follow=follow, at="end")
    acting = None
    if liquidations:
        acting = losses_of(taken, book, model, behaving(model, like), follow=follow, at="end")
    total = _ALL + (SCAN if liquidations else 0)

    def tell(done: int, _: int) -> None:
        if progress is not None:
            progress(done, total)

    moves = horizon_moves(model, seed)
    found = most_plausible(
        losses, losses.outputs, model.assets, moves, target_usd, seed=seed, workers=workers, progress=tell
    )
    shocks = found.shocks
    if acting is not None:
        each = liquidated(
            acting,
            np.array([shock.moves for shock in shocks]),
            len(losses.outputs),
            target_usd,
            model.steps,
            here(workers),
            lambda done: tell(_ALL + done, total),
        )
        shocks = tuple(replace(shock, liquidated=one) for shock, one in zip(shocks, each, strict=True))
    facts = {
        "model": type(model).__name__,
        "steps": model.steps,
        "step_s": model.step_s,
        "moves": len(moves),
        "seed": seed,
        "follow": dict(follow or {}),
        "liquidations": liquidations,
        "like": None if like is None else like.name,
    }
    return replace(found, shocks=shocks, facts=facts)


def horizon_moves(model: PriceModel, seed: int) -> FloatArray:
    """Logarithms of relative prices at the end of paths, shape (paths, assets)."""
    count = max(_FEWEST, min(_MOVES, _NUMBERS // max(model.dimension, 1)))
    # not the numbers of an estimate with the same seed
    source = Source(model, Independent(int(np.random.SeedSequence([seed, 2]).generate_state(1, np.uint64)[0])))
    ends = [
        source.paths(first, min(source.at_once, count - first))[0][:, -1] for first in range(0, count, source.at_once)
    ]
    return np.asarray(np.log(np.concatenate(ends)))


def most_plausible(
    losses: Losses,
    outputs: Sequence[str],
    assets: Sequence[str],
    moves: FloatArray,
    target_usd: float,
    *,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reverse:
    """The most plausible shocks at which any losses are so large; `reverse_stress` with the losses given.

    Parameters
    ----------
    losses
        Called by several threads at once, with prices before and after a shock: shape (shocks, 2, assets).
    outputs
        What the columns of the losses are. The damage is the first.
    assets
        The order of prices and moves.
    moves
        Shape (moves, assets): logarithms of relative prices over the horizon, as the model has them.
    target_usd, seed, workers, progress
        As `reverse_stress` takes them.

    Notes
    -----
    The search goes along rays from no shock: each asset alone and with what moves with it, principal components, pairs,
    and directions at random. Along each, the first point that does the damage is looked for in 64 steps, closer to one
    another near the start, and then halved down to; a part of the region that is thinner than a step can be missed. The
    nearest points that differ go on from there: toward the gradient of the damage, which at the nearest point of a
    smooth region is the ray itself (the iteration of Rackwitz and Fiessler 1978), and to random neighbours, for the
    kinks. Steps are taken only where they come nearer and the same market goes on bearing most, so that a found point
    always does the damage, and does it to that market.

    Raises
    ------
    InputError
        If no shock that was looked at does the damage, or none has to, or a price never moves.
    """
    if not target_usd > 0.0 or not math.isfinite(target_usd):
        raise InputError(f"the damage must be a number of dollars above 0, not {target_usd:g}")
    lower = root(np.atleast_2d(np.cov(moves, rowvar=False)), "the moves over the horizon")
    told = None if progress is None else lambda done: progress(done, _ALL)
    with pool(workers) as doers:
        search = _Search(losses, lower, target_usd, doers, told, rng=np.random.default_rng(seed))
        before = search.losses_at(np.zeros((1, len(assets))))[0, 0]
        if before >= target_usd:
            raise InputError(f"bad debt is {before:,.0f} USD before any shock; ask for more than that")
        rays, radii = search.starts()
        if not np.isfinite(radii).any():
            raise InputError(
                f"no shock was found that does {target_usd:,.0f} USD of damage; the most is {search.most:,.0f} USD, at "
                + described(assets, np.expm1(search.most_at @ lower.T))
            )
        rays, radii = search.refined(rays, radii)
        found = search.losses_at(radii[:, None] * rays)
    if progress is not None:
        progress(_ALL, _ALL)
    white = moves @ np.linalg.pinv(lower).T
    shocks = [
        Shock(
            moves=np.expm1(radii[i] * (lower @ rays[i])),
            distance=float(radii[i]),
            normal_chance=math.erfc(radii[i] / math.sqrt(2.0)) / 2.0,
            model_chance=float((white @ rays[i] >= radii[i]).mean()),
            losses_usd=found[i],
        )
        for i in _kinds(rays, radii, found, _MOST)
    ]
    return Reverse(tuple(assets), tuple(outputs), target_usd, tuple(shocks), {"moves": len(moves), "seed": seed})


def described(assets: Sequence[str], moves: FloatArray, most: int = 8) -> str:
    """A shock in words: the largest moves first, those under 0.05 % left out."""
    order = [int(i) for i in np.argsort(-np.abs(np.log1p(moves)), kind="stable") if abs(moves[i]) >= 0.0005]
    words = [f"{assets[i]} {moves[i]:+.1%}" for i in order[:most]]
    return ", ".join(words + ([f"{len(order) - most} smaller moves"] if len(order) > most else []))


def _kinds(rays: FloatArray, radii: FloatArray, losses: FloatArray, most: int) -> IntArray:
    """The nearest points, each of another kind than all that are nearer, at most so many."""
    bears = bearers(losses)
    kept: list[int] = []
    for i in np.argsort(radii, kind="stable"):
        if len(kept) < most and all(rays[i] @ rays[j] < KIND or bears[i] != bears[j] for j in kept):
            kept.append(int(i))
    return np.array(kept, dtype=np.int64)


@dataclass(kw_only=True)
class _Search(Rays):
    """A search for near points; with the root of the covariance as `lower`, rays and points are in units of standard
    deviation, uncorrelated."""

    rng: np.random.Generator

    def damage(self, points: FloatArray) -> FloatArray:
        """Shape (points,)."""
        return self.remembered(points)[:, 0]

    def starts(self) -> tuple[FloatArray, FloatArray]:
        """Rays that reach the damage, and how far; infinity where one does not."""
        assets = len(self.lower)
        alone, along = np.linalg.pinv(self.lower).T, self.lower
        components = np.linalg.eigh(self.lower @ self.lower.T)[1].T @ alone
        single = np.concatenate([alone, -alone, along, -along, components, -components])
        first = _unit(np.concatenate([single, self.rng.standard_normal((_RANDOM_RAYS, assets))]))
        radii = self.reach(first)
        by_asset = radii[: 4 * assets].reshape(4, assets).min(axis=0)
        nearest = np.argsort(by_asset, kind="stable")[:_PAIRED]
        unit = _unit(along)
        pairs = [
            sign * unit[i] + other * unit[j]
            for i, j in combinations(nearest.tolist(), 2)
            for sign in (1.0, -1.0)
            for other in (1.0, -1.0)
        ]
        if not pairs:
            return first, radii
        second = _unit(np.array(pairs))
        return np.concatenate([first, second]), np.concatenate([radii, self.reach(second)])

    def refined(self, rays: FloatArray, radii: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The nearest points near some of each kind that do the damage; see `most_plausible`."""
        there = np.isfinite(radii)
        rays, radii = rays[there], radii[there]
        found = self.losses_at(radii[:, None] * rays)
        picked = _kinds(rays, radii, found, _REFINED)
        rays, radii, bears, spread = rays[picked], radii[picked], bearers(found[picked]), np.full(len(picked), _SPREAD)
        for _ in range(_ROUNDS):
            self.tell()
            moving = np.flatnonzero(spread > 1e-4)
            if not len(moving):
                continue
            tries = self.neighbours(rays[moving], radii[moving], spread[moving])
            count, each, assets = tries.shape
            nearer = radii[moving] * (1.0 - 1e-6)
            found = self.remembered((nearer[:, None, None] * tries).reshape(-1, assets))
            same = bearers(found).reshape(count, each) == bears[moving, None]
            damage = np.where(same, found[:, 0].reshape(count, each), -np.inf)
            best = damage.argmax(axis=1)
            hit = damage[np.arange(count), best] >= self.target_usd
            better = moving[hit]
            rays[better] = tries[hit, best[hit]]
            radii[better] = self.halved(rays[better], np.zeros(len(better)), nearer[hit], bears[better])
            spread[moving[~hit]] /= 2.0
            kept = _distinct(rays, radii)
            rays, radii, bears, spread = rays[kept], radii[kept], bears[kept], spread[kept]
        return rays, np.minimum(radii, self.reach(rays, radii, bears))

    def neighbours(self, rays: FloatArray, radii: FloatArray, spread: FloatArray) -> FloatArray:
        """Directions to try from each point: toward the gradient, and at random; shape (points, tries, assets)."""
        count, assets = rays.shape
        step = 1e-4 * radii
        ends = radii[:, None, None] * rays[:, None, :] + step[:, None, None] * np.eye(assets)
        starts = radii[:, None, None] * rays[:, None, :] - step[:, None, None] * np.eye(assets)
        both = self.damage(np.concatenate([ends, starts]).reshape(-1, assets)).reshape(2, count, assets)
        gradient = _unit(both[0] - both[1])
        toward = [rays + blend * (gradient - rays) for blend in _BLENDS]
        noise = self.rng.standard_normal((_TRIES, count, assets)) * (spread / math.sqrt(assets))[:, None]
        return _unit(np.stack([*toward, *(rays + each for each in noise)], axis=1))


def _unit(rays: FloatArray) -> FloatArray:
    """Of length 1; those of no length stay."""
    length = np.sqrt((rays**2).sum(axis=-1, keepdims=True))
    return np.asarray(rays / np.where(length > 0.0, length, 1.0))


def _distinct(rays: FloatArray, radii: FloatArray) -> IntArray:
    """The nearest of the points that have come together in one direction."""
    kept: list[int] = []
    for i in np.argsort(radii, kind="stable"):
        if not kept or (rays[kept] @ rays[i]).max() < _ONE:
            kept.append(int(i))
    return np.array(kept, dtype=np.int64)
