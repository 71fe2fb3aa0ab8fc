"""A scenario says how outside prices move; what is wrong in one is said by the field's name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from simulator.scenario import Scenario, load_scenario, scenario_from, shipped_scenarios

NAMES = [frozenset({"0xc0", "eth"}), frozenset({"0xa0", "usd"}), frozenset({"0x22", "btc"})]
BARE = 'name = "x"\nstep_s = 60\nsteps = 3\n'


def scenario(paths: list[dict[str, object]], steps: int = 4, step_s: float = 30.0) -> Scenario:
    return scenario_from({"name": "x", "steps": steps, "step_s": step_s, "prices": paths}, "test")


def load(folder: Path, text: str) -> Scenario:
    file = folder / "own.toml"
    file.write_text(text)
    return load_scenario(str(file))


# --- prices ---------------------------------------------------------------------------------------------------------


def test_the_first_prices_are_those_of_the_snapshot() -> None:
    prices = scenario([{"tokens": ["ETH"], "seconds": [0, 60], "values": [2904.0, 2111.0]}]).relative_prices(NAMES)
    assert prices[0].tolist() == [1.0, 1.0, 1.0]


def test_a_waypoint_is_met_at_its_time_and_held_after_the_last() -> None:
    prices = scenario([{"tokens": ["ETH"], "seconds": [0, 60], "values": [2904.0, 2111.0]}]).relative_prices(NAMES)
    assert prices.shape == (5, 3)
    assert prices[2:, 0] == pytest.approx([2111 / 2904] * 3, rel=1e-14)


def test_halfway_between_two_waypoints_a_price_is_their_geometric_mean() -> None:
    prices = scenario([{"tokens": ["ETH"], "seconds": [0, 60], "values": [2904.0, 2111.0]}]).relative_prices(NAMES)
    assert prices[1, 0] == pytest.approx((2111 / 2904) ** 0.5, rel=1e-14)


def test_a_path_that_starts_late_leaves_the_price_alone_until_then() -> None:
    prices = scenario([{"tokens": ["USD"], "seconds": [60, 120], "values": [7.0, 3.5]}]).relative_prices(NAMES)
    assert prices[:, 1] == pytest.approx([1.0, 1.0, 1.0, 0.5**0.5, 0.5], rel=1e-14)


def test_tokens_without_a_path_keep_their_price() -> None:
    prices = scenario([{"tokens": ["ETH"], "seconds": [0, 60], "values": [2.0, 1.0]}]).relative_prices(NAMES)
    assert np.all(prices[:, 1:] == 1.0)


@pytest.mark.parametrize("name", ["ETH", "eth", "0xc0", "0xC0"])
def test_a_token_goes_by_symbol_or_address_in_any_case(name: str) -> None:
    prices = scenario([{"tokens": [name], "seconds": [0, 30], "values": [4.0, 3.0]}]).relative_prices(NAMES)
    assert prices[-1, 0] == pytest.approx(0.75, rel=1e-14)


@given(
    st.lists(st.tuples(st.floats(0.5, 500.0), st.floats(1e-6, 1e6)), min_size=1, max_size=6),
    st.floats(1e-6, 1e6),
)
def test_a_price_never_leaves_the_range_of_its_waypoints_and_meets_each(
    gaps: list[tuple[float, float]], first: float
) -> None:
    seconds = [0.0, *np.cumsum([gap for gap, _ in gaps]).tolist()]
    values = [first, *(value for _, value in gaps)]
    path = {"tokens": ["ETH"], "seconds": seconds, "values": values}
    prices = scenario([path], steps=50, step_s=seconds[-1] / 25).relative_prices(NAMES)[:, 0] * first
    assert np.all(prices >= min(values) * (1 - 1e-9))
    assert np.all(prices <= max(values) * (1 + 1e-9))
    for number, second in enumerate(seconds[1:], start=1):
        at = scenario([path], steps=1, step_s=second).relative_prices(NAMES)[1, 0] * first
        assert at == pytest.approx(values[number], rel=1e-9)


def test_an_unknown_token_is_named_with_those_that_are_there() -> None:
    with pytest.raises(InputError, match=r"no token DOGE; it has btc, eth, usd"):
        scenario([{"tokens": ["DOGE"], "seconds": [0], "values": [1.0]}]).relative_prices(NAMES)


def test_a_symbol_that_two_tokens_share_asks_for_the_address() -> None:
    with pytest.raises(InputError, match="several tokens of the snapshot are called ETH; give the address"):
        scenario([{"tokens": ["ETH"], "seconds": [0], "values": [1.0]}]).relative_prices(
            [*NAMES, frozenset({"0xc1", "eth"})]
        )


def test_two_paths_for_one_token_by_symbol_and_by_address_are_refused() -> None:
    both = [{"tokens": [name], "seconds": [0, 30], "values": [1.0, 0.5]} for name in ("ETH", "0xc0")]
    with pytest.raises(InputError, match="0xc0"):
        scenario(both).relative_prices(NAMES)


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nstep_s = 60\n', "steps: "),
        ('name = "x"\nstep_s = "often"\nsteps = 3\n', "step_s: "),
        ('name = "x"\nstep_s = true\nsteps = 3\n', "step_s: "),
        ('name = "x"\nstep_s = inf\nsteps = 3\n', "step_s: "),
        ('name = "x"\nstep_s = -60\nsteps = 3\n', "step_s: "),
        ('name = "x"\nstep_s = 60\nsteps = "3"\n', "steps: "),
        ('name = "x"\nstep_s = 60\nsteps = 3.5\n', "steps: "),
        ('name = "x"\nstep_s = 60\nsteps = 0\n', "steps: "),
        ('step_s = 60\nsteps = 3\nname = ["x"]\n', "name: "),
        (BARE + "speed = 3\n", "speed: "),
        (BARE + 'start = "yesterday"\n', "start: "),
        (BARE + 'notes = "one"\n', "notes: "),
        (BARE + "[liquidators]\ngas_usd = -1\n", "liquidators.gas_usd: "),
        (BARE + "[liquidators]\ngas_usd = nan\n", "liquidators.gas_usd: "),
        (BARE + '[liquidators]\nsell = "anywhere"\n', "liquidators.sell: "),
        (BARE + "[liquidators]\nper_step = 0\n", "liquidators.per_step: "),
        (BARE + "[liquidators]\nflash_fee = 1.01\n", "liquidators.flash_fee: "),
        (BARE + "[venues]\nimpact = 1.5\n", "venues.impact: "),
        (BARE + "[venues]\nanchored = [3]\n", "venues.anchored.0: "),
        (BARE + "[oracles]\nheartbeat_s = 0\n", "oracles.heartbeat_s: "),
        (BARE + '[oracles.per_token.ETH]\ndelay_s = "late"\n', "oracles.per_token.ETH.delay_s: "),
        (BARE + '[[prices]]\ntokens = ["ETH"]\nseconds = [0, 1]\nvalues = [1, 0]\n', "prices.0.values.1: "),
        (BARE + '[[prices]]\ntokens = ["ETH"]\nseconds = [0, 1]\nvalues = [1, inf]\n', "prices.0.values.1: "),
        (BARE + '[[prices]]\ntokens = ["ETH"]\nseconds = [0, "x"]\nvalues = [1, 2]\n', "prices.0.seconds.1: "),
        (BARE + "[[prices]]\ntokens = []\nseconds = [0]\nvalues = [1]\n", "prices.0.tokens: "),
        (
            BARE + '[[prices]]\ntokens = ["ETH"]\nseconds = [0, 1, 2]\nvalues = [1, 2]\n',
            "prices.0: seconds has 3 entries but values has 2",
        ),
        (
            BARE + '[[prices]]\ntokens = ["ETH"]\nseconds = [0, 5, 5]\nvalues = [1, 2, 3]\n',
            "prices.0: seconds must increase",
        ),
        (
            BARE + '[[prices]]\ntokens = ["ETH", "eth"]\nseconds = [0]\nvalues = [1]\n',
            "prices: eth stands in two paths",
        ),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'own.toml'}: ")
    assert said in message
    assert "\n" not in message


def test_every_bad_field_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"step_s: .*; steps: .*; venues\.impact: "):
        load(tmp_path, 'name = "x"\nstep_s = -1\nsteps = "a"\n[venues]\nimpact = 2\n')


@pytest.mark.parametrize(
    ("content", "said"), [(b"name = \n", "line 1"), (b"\xff\xfe", "utf-8"), (b'name = "x"\nname = "y"\n', "")]
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"scenario {file} cannot be read: .*{said}"):
        load_scenario(str(file))


def test_a_missing_file_and_an_unknown_name_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml is not there"):
        load_scenario(str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match=r"no scenario is called 1929-10-29; there are .*2024-08-05"):
        load_scenario("1929-10-29")


def test_what_a_file_leaves_out_takes_the_documented_values(tmp_path: Path) -> None:
    loaded = load(tmp_path, BARE)
    assert (loaded.oracles.deviation, loaded.oracles.heartbeat_s, loaded.oracles.delay_s) == (0.005, 3600.0, 0.0)
    assert loaded.liquidators.sell == "pools"
    assert loaded.liquidators.capital_usd is None
    assert loaded.prices == []


def test_a_start_without_a_time_zone_is_utc(tmp_path: Path) -> None:
    assert load(tmp_path, BARE + "start = 2024-08-04T00:00:00\n").start == datetime(2024, 8, 4, tzinfo=UTC)


def test_a_scenario_survives_the_manifest_of_a_run(tmp_path: Path) -> None:
    for name in shipped_scenarios():
        shipped = load_scenario(name)
        assert scenario_from(json.loads(json.dumps(shipped.model_dump(mode="json"))), "test") == shipped


def test_the_digest_names_the_content() -> None:
    path = {"tokens": ["ETH"], "seconds": [0, 60], "values": [1.0, 0.5]}
    one, same, other = scenario([path]), scenario([dict(path)]), scenario([path | {"values": [1.0, 0.51]}])
    assert one.digest == same.digest != other.digest
    assert len(one.digest) == 64


def test_the_shipped_crash_falls_as_far_as_it_did() -> None:
    shipped = load_scenario("2024-08-05")
    names = [frozenset({name}) for name in ("weth", "wsteth", "weeth", "wbtc", "link")]
    assert shipped.relative_prices(names).min(axis=0)[:3] == pytest.approx([2111 / 2904] * 3, rel=0.001)
    assert shipped.start == datetime(2024, 8, 4, tzinfo=UTC)
    assert shipped.snapshot == "2024-08-05"
