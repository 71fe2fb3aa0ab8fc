"""Shocks are written on the command line, and become scenarios."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InputError
from simulator.scenario import load_scenario
from simulator.stress import parse_shock, shock_scenario

NAMES = [frozenset({"weth"}), frozenset({"crv"}), frozenset({"wsteth"})]
TOKEN = st.text("abcXYZ019-.0x", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "tokens", "factor"),
    [
        ("WETH=-40%", ["WETH"], 0.6),
        ("WETH,wstETH=-40%", ["WETH", "wstETH"], 0.6),
        ("CRV=+55%", ["CRV"], 1.55),
        ("CRV=55%", ["CRV"], 1.55),
        (" WETH , wstETH =-12.5% ", ["WETH", "wstETH"], 0.875),
        ("USDC=-0.01%", ["USDC"], 0.9999),
        ("WETH=-99.99%", ["WETH"], 0.0001),
        ("WETH=0%", ["WETH"], 1.0),
        ("CRV=+900%", ["CRV"], 10.0),
    ],
)
def test_a_shock_is_tokens_and_a_move(text: str, tokens: list[str], factor: float) -> None:
    found, moved = parse_shock(text)
    assert found == tokens
    assert moved == pytest.approx(factor, rel=1e-12)


@given(st.lists(TOKEN, min_size=1, max_size=4), st.integers(-999_999, 5_000_000))
def test_every_move_above_minus_100_percent_is_taken_as_written(tokens: list[str], move: int) -> None:
    text = f"{','.join(tokens)}={'-' if move < 0 else '+'}{abs(move) // 10_000}.{abs(move) % 10_000:04}%"
    found, factor = parse_shock(text)
    assert found == tokens
    assert factor == pytest.approx(1.0 + move / 1e6, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "WETH", "WETH=", "WETH=-40", "=-40%", "WETH=-%", "WETH=--40%", "WETH=4e1%", "WETH=nan%", "WETH:-40%", "40%"],
)
def test_what_is_no_shock_is_shown_how_to_write_one(text: str) -> None:
    with pytest.raises(InputError, match="write TOKEN=-40%"):
        parse_shock(text)


@pytest.mark.parametrize("text", ["WETH=-100%", "WETH=-100.0%", "WETH=-250%"])
def test_a_price_cannot_fall_to_nothing(text: str) -> None:
    with pytest.raises(InputError, match="cannot fall by 100 % or more"):
        parse_shock(text)


@pytest.mark.parametrize("text", ["WETH,=-40%", ",WETH=-40%", "WETH,,CRV=-40%"])
def test_a_token_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a token's name is missing"):
        parse_shock(text)


def test_a_move_that_no_number_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match="--shock"):
        parse_shock(f"WETH=+{'9' * 400}%")


@given(st.text(max_size=30))
def test_whatever_is_written_is_a_shock_or_an_input_error(text: str) -> None:
    try:
        tokens, factor = parse_shock(text)
    except InputError:
        return
    assert tokens
    assert factor > 0.0


def test_a_shock_is_there_at_the_end_of_the_first_step_and_stays() -> None:
    prices = shock_scenario(["WETH,wstETH=-40%", "CRV=+55%"], steps=3, step_s=12.0).relative_prices(NAMES)
    for row in prices[1:]:
        assert row == pytest.approx([0.6, 1.55, 0.6], rel=1e-12)
    assert prices[0].tolist() == [1.0, 1.0, 1.0]


def test_a_slow_shock_takes_its_time() -> None:
    prices = shock_scenario(["WETH=-40%"], over_s=240.0, steps=6, step_s=60.0).relative_prices(NAMES)[:, 0]
    assert prices == pytest.approx([1.0, 0.6**0.25, 0.6**0.5, 0.6**0.75, 0.6, 0.6, 0.6], rel=1e-12)


def test_two_shocks_of_one_token_are_refused() -> None:
    with pytest.raises(InputError, match="weth stands in two paths"):
        shock_scenario(["WETH=-40%", "weth=-10%"])


def test_no_shock_is_no_stress() -> None:
    with pytest.raises(InputError, match="give at least one --shock"):
        shock_scenario([])


def test_behaviour_can_be_taken_from_another_scenario() -> None:
    shipped = load_scenario("2024-08-05")
    made = shock_scenario(["WETH=-40%"], like="2024-08-05")
    assert (made.oracles, made.liquidators, made.venues) == (shipped.oracles, shipped.liquidators, shipped.venues)
    assert len(made.prices) == 1
    with pytest.raises(InputError, match="no scenario is called nowhere"):
        shock_scenario(["WETH=-40%"], like="nowhere")


def test_a_haircut_sends_collateral_outside_and_leaves_the_rest_of_the_behaviour() -> None:
    made = shock_scenario(["WETH=-40%"], like="2024-08-05", haircut=0.013)
    assert (made.liquidators.sell, made.liquidators.outside_haircut) == ("outside", 0.013)
    assert made.liquidators.gas_usd == load_scenario("2024-08-05").liquidators.gas_usd
    assert shock_scenario(["WETH=-40%"]).liquidators.sell == "pools"
