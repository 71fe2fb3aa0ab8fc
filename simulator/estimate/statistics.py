"""What a sample of losses says of their distribution, and how well it says so.

A statistic is one of a weighted sample in which paths may depend on one another in small clusters (antithetic pairs),
or come in independent replicates of a point set (Sobol). Everything rests on the *upper tail*, P(X > x) taken as the
mean of the weights beyond x, **not** self-normalised: weights have mean 1 by construction, and dividing by their sum
would carry the noise of the body, where weights are large, into a tail where they are small and steady (Glynn 1996,
*Importance sampling for Monte Carlo estimation of quantiles*; Hesterberg 1995, *Technometrics* 37, on when the ratio
is better). With weights of 1 these are the empirical statistics.

Standard errors are those of the influence functions, summed by cluster:

- mean: w x - mean
- value at risk q at level a: (w 1{x > q} - (1 - a)) over the density, which is avoided: the interval of the probability
  beyond q is turned into one of q (Woodruff 1952, *JASA* 47; from order statistics and the binomial law where paths are
  independent and unweighted: David and Nagaraja 2003, *Order Statistics*, section 7.1)
- expected shortfall: q + w (x - q)+ / (1 - a) - ES (Rockafellar and Uryasev 2000, *J. Risk* 2, for the form; q is a
  minimiser of it, so that its own error is of second order: Trindade et al. 2007, *J. Banking & Finance* 31)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from chain.errors import InputError

FloatArray = npt.NDArray[np.float64]

LEVELS = (0.95, 0.99, 0.999)
ENOUGH = 30
"""Effective paths beyond a quantile below which an interval is not to be trusted. In ``python -m
simulator.estimate.validate coverage`` intervals of 95 % hold from about that many on."""
FEWEST_REPLICATES = 8
"""Replicates of a point set below which their spread says too little of the error."""


@dataclass(frozen=True)
class Sample:
    """Losses of paths, in the order of the paths.

    Attributes
    ----------
    losses, weights
        Shape (paths,). Weights have mean 1 in expectation; all 1 by default.
    cluster, replicate
        As `draws.Draws` has them.
    """

    losses: FloatArray
    weights: FloatArray = field(default_factory=lambda: np.empty(0))
    cluster: int = 1
    replicate: int = 0

    def __post_init__(self) -> None:
        if len(self.weights) == 0:
            object.__setattr__(self, "weights", np.ones(len(self.losses)))
        if len(self.losses) == 0 or len(self.losses) != len(self.weights):
            raise InputError(f"{len(self.losses)} losses with {len(self.weights)} weights: give at least one of each")
        if not (np.isfinite(self.losses).all() and np.isfinite(self.weights).all()):
            raise InputError("a loss or a weight is not a number")
        whole = self.replicate or self.cluster
        if len(self.losses) % whole:
            raise InputError(f"{len(self.losses)} paths are not a whole number of groups of {whole}")

    @cached_property
    def unweighted(self) -> bool:
        """Whether all weights are 1."""
        return bool((self.weights == 1.0).all())

    @cached_property
    def effective_size(self) -> float:
        """Kish's effective sample size, of the whole sample: (sum of weights) squared over the sum of their squares."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())

    def head(self, paths: int) -> Sample:
        """The first so many paths, less what is not a whole group."""
        whole = self.replicate or self.cluster
        kept = max(paths // whole, 1) * whole
        return Sample(self.losses[:kept], self.weights[:kept], self.cluster, self.replicate)

    def replicates(self) -> list[Sample]:
        """Each replicate by itself."""
        size = self.replicate
        starts = range(0, len(self.losses), size)
        return [Sample(self.losses[at : at + size], self.weights[at : at + size]) for at in starts]

    @cached_property
    def _ordered(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Losses from the largest down, and the probability of a larger one, with its own and with half of its own."""
        order = np.argsort(-self.losses, kind="stable")
        weights = self.weights[order]
        beyond = np.cumsum(weights)
        return self.losses[order], beyond / len(order), (beyond - weights / 2.0) / len(order)

    def edge(self, tail: float) -> float:
        """The smallest loss of the sample that is exceeded with at most this probability."""
        losses, beyond, _ = self._ordered
        # 1 - 0.95 is a little more than 0.05, and so are sums of weights
        place = int(np.searchsorted(beyond, tail * (1.0 + 1e-9), side="right"))
        return float(losses[min(place, len(losses) - 1)])

    def quantile(self, tail: float) -> float:
        """The loss that is exceeded with a probability, between the two next to it where it is none of the sample's
        (Hazen's definition, number 5 of Hyndman and Fan 1996, *The American Statistician* 50)."""
        losses, _, beyond = self._ordered
        return float(np.interp(tail, beyond, losses))


@dataclass(frozen=True)
class Estimate:
    """A statistic and what is known of it.

    Attributes
    ----------
    name, level
        Such as ``expected shortfall`` and 0.99; the level is nothing for those that have none.
    value, low, high
        The estimate and the ends of its confidence interval. An end is infinite where the sample does not reach there.
    standard_error
        Not a number where the interval was not made from one.
    enough
        Whether the sample is large enough for the interval to mean what it says.
    """

    name: str
    level: float | None
    value: float
    low: float
    high: float
    standard_error: float
    enough: bool

    @property
    def relative_half_width(self) -> float:
        """Half of the interval over the estimate; infinite where the estimate is nothing."""
        return (self.high - self.low) / 2.0 / abs(self.value) if self.value else math.inf


def mean(sample: Sample, confidence: float = 0.95) -> Estimate:
    """Expected loss."""
    return _estimate("mean", None, sample, _mean, confidence)


def probability(sample: Sample, threshold: float = 0.0, confidence: float = 0.95) -> Estimate:
    """Probability of a loss above a threshold, with Wilson's interval (Wilson 1927, *JASA* 22).

    Weighted or clustered paths count as so many independent ones as would give the same standard error.
    """
    beyond = Sample((sample.losses > threshold).astype(np.float64), sample.weights, sample.cluster, sample.replicate)
    value, error = _mean(beyond), _error(beyond, _mean)
    low, high = _wilson(value, error, sample, confidence)
    count = float(beyond.losses.sum())
    enough = min(count, len(sample.losses) - count) >= ENOUGH
    return Estimate("probability of a loss", None, value, low, high, error, enough)


def value_at_risk(sample: Sample, level: float, confidence: float = 0.95) -> Estimate:
    """The loss that is exceeded with probability 1 - `level` at most; the median at 0.5."""
    tail = 1.0 - level
    name = "median" if level == 0.5 else "value at risk"
    if sample.replicate:
        # the points of one set are spread evenly, and those of all sets together are not: no quantile of the whole
        parts = [one.quantile(tail) for one in sample.replicates()]
        found = _estimate(name, level, sample, lambda one: one.quantile(tail), confidence, float(np.mean(parts)))
        # a quantile between few points is off by their distance, which a narrow interval need not hold
        return replace(found, enough=found.enough and tail * sample.replicate >= ENOUGH)
    value = sample.quantile(tail)
    beyond = Sample((sample.losses > value).astype(np.float64), sample.weights, sample.cluster)
    error = _error(beyond, _mean)
    if sample.unweighted and sample.cluster == 1:
        from scipy.stats import binom

        count = len(sample.losses)
        ordered = sample._ordered[0]
        # from the largest down: how many lie beyond the quantile is binomial
        few = int(binom.ppf((1 - confidence) / 2, count, tail))
        many = int(binom.ppf((1 + confidence) / 2, count, tail))
        high = float(ordered[few - 1]) if few > 0 else math.inf
        low = float(ordered[many]) if many < count else -math.inf
    else:
        least, most = _wilson(tail, error, sample, confidence)
        low = sample.quantile(most)
        high = sample.quantile(least) if least >= sample._ordered[1][0] else math.inf
    # not the paths beyond: that hardly any lose anything may be known very well
    enough = _independent(_mean(beyond), error, sample) * min(tail, level) >= ENOUGH and math.isfinite(high)
    return Estimate(name, level, value, low, high, math.nan, enough)


def expected_shortfall(sample: Sample, level: float, confidence: float = 0.95) -> Estimate:
    """Mean of the worst losses, which together have probability 1 - `level`."""
    return _estimate("expected shortfall", level, sample, lambda one: _shortfall(one, level), confidence)


def difference(sample: Sample, base: Sample, level: float | None = None, confidence: float = 0.95) -> Estimate:
    """How much larger the mean, or with a level the expected shortfall, of one sample is than that of another.

    The two share their paths (common random numbers), so that the error is that of what differs path by path: of the
    losses, or of their influence on the expected shortfall (Glasserman 2003, *Monte Carlo Methods in Financial
    Engineering*, section 4.2).

    Raises
    ------
    InputError
        If the samples are not of the same paths.
    """
    if not np.array_equal(sample.weights, base.weights):
        raise InputError("a difference is taken between samples of the same paths")
    name = "mean" if level is None else "expected shortfall"

    def statistic(of: Sample) -> float:
        return _mean(of) if level is None else _shortfall(of, level)

    value = statistic(sample) - statistic(base)
    if np.array_equal(sample.losses, base.losses):
        return Estimate(name, level, value, value, value, 0.0, _enough(sample, level))
    if sample.replicate:
        pairs = zip(sample.replicates(), base.replicates(), strict=True)
        apart = Sample(np.array([statistic(one) - statistic(other) for one, other in pairs]))
        moved, enough = float(len(apart.losses)), len(apart.losses) >= FEWEST_REPLICATES
    else:
        apart = Sample(_influence(sample, level) - _influence(base, level), sample.weights, sample.cluster)
        moved = _count_beyond(Sample(np.abs(apart.losses), apart.weights, apart.cluster), 0.0)
        enough = moved >= ENOUGH
    return _interval(name, level, value, _error(apart, _mean), moved - 1.0, enough, confidence)


def _influence(sample: Sample, level: float | None) -> FloatArray:
    """What each path adds to the mean, or to the expected shortfall: of it, what is beyond the quantile."""
    if level is None:
        return sample.losses
    return np.maximum(sample.losses - sample.edge(1.0 - level), 0.0) / (1.0 - level)


def measures(sample: Sample, confidence: float = 0.95, levels: Sequence[float] = LEVELS) -> list[Estimate]:
    """Every statistic: probability of a loss, mean, median, value at risk and expected shortfall at each level."""
    return [
        probability(sample, 0.0, confidence),
        mean(sample, confidence),
        value_at_risk(sample, 0.5, confidence),
        *(value_at_risk(sample, level, confidence) for level in levels),
        *(expected_shortfall(sample, level, confidence) for level in levels),
    ]


def convergence(sample: Sample, level: float = 0.99, halvings: int = 6) -> list[dict[str, Any]]:
    """Mean, value at risk and expected shortfall of the first paths, their number doubling from row to row."""
    rows: list[dict[str, Any]] = []
    for halving in range(halvings, -1, -1):
        head = sample.head(len(sample.losses) >> halving)
        if rows and rows[-1]["paths"] == len(head.losses):
            continue
        row: dict[str, Any] = {"paths": len(head.losses)}
        for each in (mean(head), value_at_risk(head, level), expected_shortfall(head, level)):
            name = each.name.replace(" ", "_")
            row |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
        rows.append(row | {"enough": each.enough})
    return rows


@dataclass(frozen=True)
class Until:
    """A rule when to stop: once the expected shortfall at a level is known within a share of itself.

    It is to be asked at few sample sizes, each twice the last: an interval that is looked at after every path is sooner
    or later narrow by luck.
    """

    level: float = 0.99
    share: float = 0.05

    def met(self, sample: Sample, confidence: float = 0.95) -> bool:
        """Whether the sample is enough."""
        found = expected_shortfall(sample, self.level, confidence)
        return found.enough and found.relative_half_width <= self.share


def row(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON values; what is no finite number is null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(estimate).items()
    }


# --- the statistics and their errors --------------------------------------------------------------------------------


def _mean(sample: Sample) -> float:
    return float((sample.weights * sample.losses).mean())


def _shortfall(sample: Sample, level: float) -> float:
    # the quantile that makes this smallest, as the expected shortfall of a sample does
    quantile = sample.edge(1.0 - level)
    return float(quantile + (sample.weights * np.maximum(sample.losses - quantile, 0.0)).mean() / (1.0 - level))


def _estimate(
    name: str,
    level: float | None,
    sample: Sample,
    statistic: Callable[[Sample], float],
    confidence: float,
    value: float | None = None,
) -> Estimate:
    """A statistic, of the whole sample unless given, with the interval that Student's t gives it."""
    value = statistic(sample) if value is None else value
    if sample.replicate:
        count = len(sample.losses) // sample.replicate
        enough = count >= FEWEST_REPLICATES and _enough(sample, level)
        freedom = count - 1.0
        error = _spread(sample, statistic)
    else:
        # the expected shortfall rests on the paths beyond the quantile, the mean on all that lose anything
        quantile = 0.0 if level is None else sample.edge(1.0 - level)
        freedom = _count_beyond(sample, quantile) - 1.0
        enough = _enough(sample, level)
        error = _error(Sample(_influence(sample, level), sample.weights, sample.cluster), _mean)
    return _interval(name, level, value, error, freedom, enough, confidence)


def _interval(
    name: str, level: float | None, value: float, error: float, freedom: float, enough: bool, confidence: float
) -> Estimate:
    from scipy.special import stdtrit

    if freedom <= 0:
        return Estimate(name, level, value, -math.inf, math.inf, math.nan, False)
    half = float(stdtrit(freedom, (1.0 + confidence) / 2.0)) * error
    return Estimate(name, level, value, value - half, value + half, error, enough)


def _error(sample: Sample, statistic: Callable[[Sample], float]) -> float:
    """Standard error of a weighted mean, by clusters; of any statistic, by replicates."""
    if sample.replicate:
        return _spread(sample, statistic)
    means = (sample.weights * sample.losses).reshape(-1, sample.cluster).mean(axis=1)
    return float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.inf


def _spread(sample: Sample, statistic: Callable[[Sample], float]) -> float:
    """Standard error from the spread between replicates (Owen 2013, *Monte Carlo theory*, section 17)."""
    parts = [statistic(one) for one in sample.replicates()]
    return float(np.std(parts, ddof=1) / math.sqrt(len(parts))) if len(parts) > 1 else math.inf


def _count_beyond(sample: Sample, threshold: float) -> float:
    """Effective number of paths beyond a threshold, those of a cluster as one."""
    weights = np.where(sample.losses > threshold, sample.weights, 0.0).reshape(-1, sample.cluster).sum(axis=1)
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0


def _enough(sample: Sample, level: float | None) -> bool:
    return _count_beyond(sample, 0.0 if level is None else sample.edge(1.0 - level)) >= ENOUGH


def _wilson(value: float, error: float, sample: Sample, confidence: float) -> tuple[float, float]:
    """Wilson's interval, for as many independent paths as have this standard error."""
    from scipy.special import ndtri

    count = _independent(value, error, sample)
    z = float(ndtri((1.0 + confidence) / 2.0))
    middle = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(max(value * (1 - value), 0.0) / count + z**2 / (4 * count**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _independent(value: float, error: float, sample: Sample) -> float:
    """Independent, unweighted paths that would know a probability as well."""
    if 0.0 < value < 1.0 and 0.0 < error < math.inf:
        return value * (1.0 - value) / error**2
    return sample.effective_size / sample.cluster
