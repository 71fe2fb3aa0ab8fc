"""What a scenario says of losses: what hits issuers, what stands before holders, and when suppliers run.

A depeg that hits one token is a path of its price (``[[prices]]``): claims on the token keep their worth. A depeg that
all claims on the token share is a `WriteDown` of the token.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from simulator.parts import NotNegative, Part, Positive, Share


class WriteDown(Part):
    """A share of what somebody owes is lost, at once and for good.

    Of an `issuer`: of all that stands behind its claims; it reaches holders by each claim's rule, once backing beyond
    what is owed is gone. Of a `token`: of what the market gives for it, and with it for every claim on it. Two
    write-downs of one thing multiply.
    """

    issuer: str = Field("", description="a market's name or a contract's address, as in the table claims")
    token: str = Field("", description="symbol or address")
    share: Share
    at_s: NotNegative = Field(0.0, description="seconds since the start")

    @model_validator(mode="after")
    def _one(self) -> WriteDown:
        if bool(self.issuer) == bool(self.token):
            raise ValueError("give an issuer or a token, one of the two")
        return self


class Mint(Part):
    """Units of a claim come to be with nothing behind them (a bridge or a minter is broken into): all units share what
    there is from then on. The new units themselves are pledged nowhere."""

    token: str = Field(description="symbol or address")
    share: Positive = Field(description="new units over those that there were in the snapshot")
    at_s: NotNegative = Field(0.0, description="seconds since the start")


class Freeze(Part):
    """A market, or some of its reserves, stands still: no liquidation that touches them, and no withdrawal."""

    market: str = Field(description="its name in the snapshot")
    tokens: list[str] = Field(default_factory=list, description="symbols or addresses; all of its reserves if empty")
    from_s: NotNegative = Field(0.0, description="seconds since the start")
    until_s: Positive | None = Field(None, description="seconds since the start; to the end if absent")

    @model_validator(mode="after")
    def _ends(self) -> Freeze:
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError("until_s must be later than from_s")
        return self

    def active(self, elapsed_s: float) -> bool:
        """Whether it holds, so many seconds after the start."""
        return self.from_s <= elapsed_s and (self.until_s is None or elapsed_s < self.until_s)


class Cushion(Part):
    """What stands between a reserve's realised deficits and its suppliers, in the order in which it pays.

    First a safety module (Umbrella, stkAAVE) in which `slash` of `module_usd` can be taken. Its stakers give notice at
    the first loss: what has not been slashed when their cooldown is over is gone. Then the protocol's own surplus, then
    insurance. What is left is the haircut of those who hold claims. Amounts are what there is at the start, and stay in
    US dollars whatever their tokens do. What the market has booked as a deficit stays booked.
    """

    market: str = Field(description="its name in the snapshot")
    token: str = Field(description="symbol or address of the reserve")
    module_usd: NotNegative = Field(0.0, description="staked for this reserve, US dollars")
    slash: Share = Field(1.0, description="share of the stake that may be taken at most")
    cooldown_s: Positive | None = Field(
        None, description="from stakers' notice to when they are gone, seconds; they stay if absent"
    )
    surplus_usd: NotNegative = Field(0.0, description="the protocol's own reserves and treasury for it, US dollars")
    insurance_usd: NotNegative = Field(0.0, description="US dollars")


class SuppliersRun(Part):
    """Suppliers of a reserve leave once something frightens them, and go on leaving.

    In each step the share 1 - exp(-`per_hour` x hours) of what suppliers have left in it, and have not asked for yet,
    is asked for. It is paid out of the reserve's cash, before liquidators act; what is not paid waits. Accounts with
    debt, whose supply is collateral, do not leave. What frightens suppliers is any of the three that are given.
    """

    market: str = Field(description="its name in the snapshot")
    token: str = Field(description="symbol or address of the reserve")
    per_hour: Positive = Field(description="intensity with which suppliers leave")
    from_s: NotNegative | None = Field(None, description="news reach them so many seconds after the start")
    loss: NotNegative | None = Field(None, description="they have lost more than this share, after all cushions")
    utilisation: Share | None = Field(None, description="the share of the reserve that is lent has reached this")

    @model_validator(mode="after")
    def _triggered(self) -> SuppliersRun:
        if self.from_s is None and self.loss is None and self.utilisation is None:
            raise ValueError("say what they run for: from_s, loss or utilisation")
        return self


class Contagion(Part):
    """How losses reach those who hold claims, and what else than prices hits the book."""

    spreads: bool = Field(
        True, description="whether what issuers lose reaches claims on them, as the table claims says"
    )
    unrealised: bool = Field(
        False,
        description="whether the market gives less for claims on economic bad debt, too, before it is written off",
    )
    write_downs: list[WriteDown] = Field(default_factory=list)
    mints: list[Mint] = Field(default_factory=list)
    freezes: list[Freeze] = Field(default_factory=list)
    cushions: list[Cushion] = Field(default_factory=list)
    runs: list[SuppliersRun] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_a_reserve(self) -> Contagion:
        for name, parts in (("cushions", self.cushions), ("runs", self.runs)):
            keys = [(part.market, part.token.lower()) for part in parts]
            if len(set(keys)) < len(keys):
                raise ValueError(f"{name}: one reserve stands in two of them")
        return self
