"""The shipped parameters are what the data give, and the fits find what is put into made-up data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chain.errors import InputError
from simulator.market import calibration
from simulator.market.calibration import BLOCK_S, DAY, Estimate, calibrate, impulse_response, law_exponent
from simulator.market.impact import RANGES, RECOVERY_S
from simulator.scenario import Venues

SHARED = Path(__file__).parents[3].parent / "shared"
real = pytest.mark.skipif(not SHARED.exists(), reason="no ../shared beside the checkout")


@pytest.fixture(scope="module")
def fits() -> dict[str, Estimate]:
    return {estimate.name: estimate for estimate in calibrate(SHARED / "data" / "amm")}


@real
@pytest.mark.parametrize("name", RANGES)
def test_a_refit_gives_the_default_and_the_stated_range(fits: dict[str, Estimate], name: str) -> None:
    default, fit = getattr(Venues(), name), fits[name]
    assert fit.low <= default <= fit.high
    assert default == pytest.approx(fit.value, rel=0.05, abs=1e-9)
    assert RANGES[name] == pytest.approx((fit.low, fit.high), rel=0.05, abs=1e-3)
    assert RANGES[name][0] <= default <= RANGES[name][1]


@real
def test_what_the_documentation_says_of_the_data_is_so(fits: dict[str, Estimate]) -> None:
    exponent = fits["exponent of the law"]
    assert 0.9 < exponent.low <= exponent.value <= exponent.high < 1.1
    assert fits["liquidity after a move, net"].low > 0.0
    assert fits["liquidity after a move, gross"].high < 0.0
    assert fits["pool over market on chain"].low > 1.0
    assert fits["active liquidity, USDC/USDT"].low < 0.0 < fits["active liquidity, USDC/USDT"].high
    assert 0.1 < fits["value that left, USDe/USDT"].value < 0.15


def test_a_folder_without_the_data_is_refused_by_the_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=calibration.TRADES):
        calibrate(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few bootstraps: the value does not depend on them."""
    monkeypatch.setattr(calibration, "DRAWS", 20)


def trades(reach: float, half_life_s: float, permanent: float) -> pd.DataFrame:
    """A pool that trembles, but for a large move every other day, of which so much is left as R says."""
    draw = np.random.default_rng(7)
    blocks = np.arange(0, 60 * DAY)
    ticks = draw.normal(0.0, 1.0, len(blocks))
    for start in np.arange(1000, 59 * DAY, 2 * DAY):
        # no step of the way back is itself large
        size = float(draw.uniform(130, 200)) * float(draw.choice((-1, 1)))
        after = np.maximum(blocks - start, 0) * BLOCK_S
        outside = permanent + (1 - permanent) * 0.5 ** (after / RECOVERY_S)
        left = reach * outside + (1 - reach) * 0.5 ** (after / half_life_s)
        ticks += np.where(blocks >= start, size * left, 0.0)
    return pd.DataFrame({"block_number": blocks, "tick": ticks})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("truth", [(0.4, 200.0, 0.7), (0.8, 90.0, 0.2)])
def test_the_fit_of_trades_finds_what_was_put_in(truth: tuple[float, float, float]) -> None:
    reach, half_life, permanent = impulse_response(trades(*truth))
    assert [reach.value, half_life.value, permanent.value] == pytest.approx(truth, rel=0.1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_the_fit_of_quotes_finds_the_law_they_were_made_by(exponent: float) -> None:
    draw = np.random.default_rng(3)
    rows = []
    for pair, (sold, bought) in enumerate(calibration._DEEP):
        for hour in range(6):
            for size in 10.0 ** draw.uniform(0, 6, 20):
                loss = (0.05 + 0.01 * pair) * (size / 1e6) ** exponent
                rows.append((sold, bought, size, 7.0 * (1 - loss), 3600 * hour))
    quotes = pd.DataFrame(rows, columns=["src", "dst", "in_amount", "price", "timestamp"])
    # medians of classes of sizes blur a little
    assert law_exponent(quotes).value == pytest.approx(exponent, abs=0.06)
