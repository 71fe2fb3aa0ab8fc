"""A scenario: how outside prices move, and how oracles, liquidators and venues behave. Written in TOML.

Prices in a scenario are a *shape*: a token's outside price is its price in the snapshot times the path's value over
the path's first value, so that a path in dollars can be laid on any block near the crash.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from chain.errors import InputError
from simulator.losses.shocks import Contagion
from simulator.parts import NotNegative, Positive, Price, Share
from simulator.parts import Part as _Part

FloatArray = npt.NDArray[np.float64]


class PricePath(_Part):
    """Outside price of some tokens, as waypoints between which the logarithm of the price moves in a straight line."""

    tokens: list[str] = Field(min_length=1, description="symbols or addresses")
    seconds: list[NotNegative] = Field(min_length=1, description="time of each waypoint since the start")
    values: list[Price] = Field(min_length=1, description="price at each waypoint, in any one unit")
    source: str = Field("", description="where the figures come from")

    @model_validator(mode="after")
    def _waypoints(self) -> PricePath:
        if len(self.seconds) != len(self.values):
            raise ValueError(f"seconds has {len(self.seconds)} entries but values has {len(self.values)}")
        if any(a >= b for a, b in zip(self.seconds, self.seconds[1:], strict=False)):
            raise ValueError("seconds must increase")
        return self


class OracleRule(_Part):
    """When a feed publishes (Chainlink's push model): on a deviation, at the latest after the heartbeat, some time
    after it saw the price."""

    deviation: NotNegative = Field(0.005, description="relative move of the outside price that triggers an answer")
    heartbeat_s: Positive = Field(3600.0, description="longest time between answers, seconds")
    delay_s: NotNegative = Field(0.0, description="from seeing a price to publishing it, seconds")


class OracleFault(_Part):
    """Something that is wrong with the feeds of some tokens for a time.

    ``stuck``: nothing is published. ``late``: answers take `value` seconds longer. ``floor``, ``ceiling``: answers are
    never below, never above `value` (LUNA's stood at 0.107). ``factor``: answers are `value` times what they should be
    (DAI's were 1.3 times). ``manipulated``: the pool that a TWAP or a moving average reads stands at `value` times the
    market's price; feeds do not see it. ``rate``: the exchange rate in the token's price is `value` times what it was.

    A fault acts on the feeds that watch a token, wherever their answers are used, and so below any cap. A token whose
    price has no feed of its own (wstETH: ETH / USD times a rate) has its finished price hit.
    """

    tokens: list[str] = Field(min_length=1, description="symbols or addresses")
    kind: Literal["stuck", "late", "floor", "ceiling", "factor", "manipulated", "rate"]
    value: Positive | None = Field(None, description="seconds, a price in what the market prices in, or a factor")
    from_s: NotNegative = Field(0.0, description="seconds since the start")
    until_s: Positive | None = Field(None, description="seconds since the start; to the end if absent")

    @model_validator(mode="after")
    def _complete(self) -> OracleFault:
        if (self.value is None) != (self.kind == "stuck"):
            raise ValueError("value is needed" if self.value is None else "a stuck feed takes no value")
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError("until_s must be later than from_s")
        return self

    def active(self, elapsed_s: float) -> bool:
        """Whether it is there, so many seconds after the start."""
        return self.from_s <= elapsed_s and (self.until_s is None or elapsed_s < self.until_s)


class Auction(_Part):
    """Who acts first on a price (SVR and its kin): the winner of an auction, who hands back a part of the profit."""

    share: Share = Field(description="part of a liquidation's profit, after all costs, that the winner hands back")
    tokens: list[str] = Field(
        default_factory=list, description="tokens with such feeds, besides those in which the snapshot shows one"
    )
    bidders: bool = Field(True, description="whether anybody bids; if not, nothing is handed back and reports are late")
    fallback_s: NotNegative | None = Field(
        None, description="how late, seconds; as the feed's contract says if absent, or 0 where it is not known"
    )


class Outage(_Part):
    """A rollup's sequencer is down: no block, so no feed speaks, nobody trades and nobody is liquidated.

    Feeds catch up at once afterwards; for the grace period markets with a sentinel let through only what their rule
    says (Aave v3 before 3.7: health factors below 0.95).
    """

    from_s: NotNegative = Field(description="seconds since the start")
    until_s: Positive = Field(description="seconds since the start")
    grace_s: NotNegative = Field(3600.0, description="seconds after it")

    @model_validator(mode="after")
    def _ends(self) -> Outage:
        if self.until_s <= self.from_s:
            raise ValueError("until_s must be later than from_s")
        return self

    def down(self, elapsed_s: float) -> bool:
        """Whether there are no blocks, so many seconds after the start."""
        return self.from_s <= elapsed_s < self.until_s

    def in_grace(self, elapsed_s: float) -> bool:
        """Whether borrowers are still given time."""
        return self.until_s <= elapsed_s < self.until_s + self.grace_s


class Oracles(OracleRule):
    """The rule of every feed, exceptions by token, and what goes wrong."""

    per_token: dict[str, OracleRule] = Field(default_factory=dict, description="by symbol or address")
    faults: list[OracleFault] = Field(default_factory=list)
    auction: Auction | None = Field(None, description="recapture of what liquidators earn from prices; none if absent")
    sequencer: Outage | None = Field(None, description="an outage of the chain; none if absent")


class Liquidators(_Part):
    """What liquidators need before they act.

    The default of `congestion` is the slope of the logarithm of Ethereum's gas price (60th percentile of ten minutes,
    over the day's median) on that of ether's fall from its highest price within six hours, over seven days of
    2020-03-12 to 2021-06-21 with an intercept each; by single days it is between 0.9 and 9.7. The data are those of
    BerkeleyBlockchain/stablesims (feeds/gas, feeds/eth).
    """

    sell: Literal["pools", "outside", "best"] = Field(
        "pools",
        description="where seized collateral goes: through the pools at once, which a flash loan can pay for; to an "
        "outside market at a haircut and later, which takes own money; or whichever pays more",
    )
    inventory_usd: Positive | None = Field(
        None, description="collateral bought with own money that liquidators can hold, USD; no limit if absent"
    )
    turnover_s: NotNegative = Field(
        0.0, description="in which liquidators sell a full inventory outside, seconds; 0 for within the step"
    )
    outside_haircut: Share = Field(0.0, description="loss against the outside price of sales to the outside market")
    no_slippage: list[str] = Field(
        default_factory=list,
        description="markets whose collateral fetches the outside price, whatever its amount, and moves nothing",
    )
    gas_usd: NotNegative = Field(20.0, description="cost of one liquidation at rest, USD")
    congestion: NotNegative = Field(
        6.8,
        description="gas price is (highest value / value now) to this power times that at rest, with the value of the "
        "book's collateral and its highest within six hours; as many times fewer liquidations fit into a block",
    )
    flash_fee: Share = Field(0.0005, description="share of a repayment with borrowed money that borrowing it costs")
    minimum_profit_usd: NotNegative = Field(0.0, description="profit below which nobody acts, USD")
    capital_usd: Positive | None = Field(None, description="largest repayment of one liquidation, USD; none if absent")
    per_step: Annotated[int, Field(gt=0)] | None = Field(
        None, description="liquidations that fit into the blocks of one step at rest; no limit if absent"
    )
    latency_s: NotNegative = Field(
        0.0, description="from when an account can be liquidated to when somebody does so at the earliest, seconds"
    )


class BookLaw(_Part):
    """Depth of an order book; `simulator.market.orderbook` has the laws and their sources."""

    token: str = Field(description="what is sold and bought, symbol or address")
    quote: str = Field(description="what it is paid in, symbol or address")
    law: Literal["linear", "square_root", "floored"]
    depth: Positive = Field(
        description="whole tokens: D of the linear laws, the sale that by q/D takes all of the price; V of the square "
        "root, what trades in a day"
    )
    volatility: Positive | None = Field(
        None, description="of a calm day, as a share of the price; depth falls as realised volatility exceeds it"
    )
    factor: Positive = Field(1.0, description="Y of the square-root law")
    floor: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="B of the floored law, as a share of the price at the start"
    )
    half_life_s: Positive = Field(
        3600.0, description="in which half of what trades moved the price by is gone, seconds"
    )
    half_spread: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="kept of every trade, as a share")

    @model_validator(mode="after")
    def _complete(self) -> BookLaw:
        if self.law == "square_root" and self.volatility is None:
            raise ValueError("the square-root law needs a volatility")
        if self.law != "floored" and self.floor:
            raise ValueError("only the floored law has a floor")
        if self.law != "square_root" and self.factor != 1.0:
            raise ValueError("only the square-root law has a factor")
        if self.token.lower() == self.quote.lower():
            raise ValueError("token and quote are the same")
        return self


class Venues(_Part):
    """How venues and the outside price follow each other, and the order books that no contract holds.

    Defaults and what is known of them: simulator/README.md.
    """

    impact: Share = Field(
        0.3, description="share of the move that liquidators' swaps cause in a venue that the outside price takes over"
    )
    permanent: Share = Field(0.6, description="share of what the outside price took over that stays; the rest fades")
    arbitrage_half_life_s: NotNegative = Field(
        17.0, description="in which arbitrage closes half of a pool's gap to the outside price, seconds; 0 for at once"
    )
    withdrawal: NotNegative = Field(
        0.0, description="share of liquidity that leaves a pool for each unit of adverse logarithmic move of its price"
    )
    anchored: list[str] = Field(
        default_factory=list, description="tokens whose outside price selling cannot move (redeemable at par)"
    )
    books: list[BookLaw] = Field(default_factory=list)


class Scenario(_Part):
    """A crash, whole."""

    name: str
    title: str = ""
    notes: list[str] = Field(default_factory=list, description="assumptions that a reader of the result must know")
    # a run's manifest holds it as text
    start: Annotated[datetime, Field(strict=False)] | None = Field(
        None, description="when it happened, UTC; absent for what-ifs"
    )
    step_s: Positive = Field(le=31_536_000, description="length of a step, seconds")
    steps: Annotated[int, Field(gt=0, le=1_000_000)]
    seed: int = 0
    snapshot: str | None = Field(None, description="shipped snapshot this is replayed on by default")
    prices: list[PricePath] = Field(default_factory=list)
    oracles: Oracles = Field(default_factory=Oracles)
    liquidators: Liquidators = Field(default_factory=Liquidators)
    venues: Venues = Field(default_factory=Venues)
    contagion: Contagion = Field(default_factory=Contagion)

    @model_validator(mode="after")
    def _one_path_a_token(self) -> Scenario:
        seen: set[str] = set()
        for path in self.prices:
            for token in path.tokens:
                if token.lower() in seen:
                    raise ValueError(f"prices: {token} stands in two paths")
                seen.add(token.lower())
        return self

    @property
    def digest(self) -> str:
        """SHA-256 that names this content."""
        import hashlib

        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def relative_prices(self, names: Sequence[frozenset[str]]) -> FloatArray:
        """Outside prices over those of the snapshot.

        Parameters
        ----------
        names
            For each token, the lower-case names it goes by (symbol, address).

        Returns
        -------
        Shape (steps + 1, tokens); row 0 is all ones.

        Raises
        ------
        InputError
            If a path names a token that is not there.
        """
        times = np.arange(self.steps + 1) * self.step_s
        result = np.ones((self.steps + 1, len(names)))
        given: dict[int, str] = {}
        for path in self.prices:
            shape = np.exp(np.interp(times, path.seconds, np.log(path.values)))
            for token in path.tokens:
                row = find(token, names, f"scenario {self.name}: prices")
                if row in given:
                    raise InputError(f"scenario {self.name}: prices: {given[row]} and {token} are the same token")
                given[row] = token
                result[:, row] = shape / shape[0]
        return result


def find(token: str, names: Sequence[frozenset[str]], where: str) -> int:
    """Row of the token that goes by a name; raises InputError where none or several do."""
    rows = [row for row, known in enumerate(names) if token.lower() in known]
    if not rows:
        known = ", ".join(sorted(min(n, key=len) for n in names))
        raise InputError(f"{where}: the snapshot has no token {token}; it has {known}")
    if len(rows) > 1:
        raise InputError(f"{where}: several tokens of the snapshot are called {token}; give the address")
    return rows[0]


def shipped_folder() -> Path:
    """Where the scenarios and snapshots lie that come with the product."""
    return Path(str(resources.files("fixtures")))


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that come with the product."""
    return sorted(path.stem for path in (shipped_folder() / "scenarios").glob("*.toml"))


def load_scenario(name: str) -> Scenario:
    """A scenario by its name, or from a file.

    Raises
    ------
    InputError
        Naming the field that is not as it should be.
    """
    path = Path(name)
    if name in shipped_scenarios():
        path = shipped_folder() / "scenarios" / f"{name}.toml"
    elif path.suffix != ".toml":
        raise InputError(
            f"no scenario is called {name}; there are {', '.join(shipped_scenarios())} (or give a .toml file)"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"scenario {path} is not there") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"scenario {path} cannot be read: {error}") from None
    return scenario_from(content, str(path))


def scenario_from(content: dict[str, Any], where: str) -> Scenario:
    """Check a scenario's content; raises InputError naming the field."""
    try:
        scenario = Scenario.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'scenario'}: {_plain(problem['msg'])}"
            for problem in error.errors()
        ]
        raise InputError(f"{where}: " + "; ".join(problems)) from None
    if scenario.start is not None and scenario.start.tzinfo is None:
        scenario = scenario.model_copy(update={"start": scenario.start.replace(tzinfo=UTC)})
    return scenario


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
