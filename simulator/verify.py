"""A run against the real contracts, on a fork of the block it started from.

For each step the fork is put at the step's time and oracle prices, and the contracts are asked who is liquidatable;
then the run's liquidations and swaps are executed in the run's order. Every integer is compared. Swaps that no contract
can repeat are left out, counted and named: those with order books, and those with pools that a model took liquidity
out of, which the fork's pools still have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chain.errors import InputError
from chain.fork import Fork, Reverted
from chain.node import Node
from chain.snapshot import Market
from protocols import registry
from protocols.onfork import AmmOnFork, LendingOnFork
from simulator.market.orderbook import PROTOCOL as ORDER_BOOK
from simulator.run import Run

LISTED = 20
"""Disagreements kept word for word for each kind; all are counted."""


@dataclass
class Check:
    """One kind of comparison.

    Attributes
    ----------
    what
        What is compared.
    compared
        How many integers.
    disagreements
        How many differ.
    examples
        The first of them, in words.
    """

    what: str
    compared: int = 0
    disagreements: int = 0
    examples: list[str] = field(default_factory=list)

    def compare(self, where: str, run: Any, contract: Any) -> None:
        """Count one comparison."""
        self.compared += 1
        if run != contract:
            self.disagreements += 1
            if len(self.examples) < LISTED:
                self.examples.append(f"{where}: run {run}, contract {contract}")


@dataclass
class Verification:
    """What a verification found.

    Attributes
    ----------
    checks
        By what is compared.
    liquidations, accounts, swaps
        How many were executed or asked for.
    not_compared
        How many swaps were left out, by why.
    """

    checks: dict[str, Check] = field(default_factory=dict)
    liquidations: int = 0
    accounts: int = 0
    swaps: int = 0
    not_compared: dict[str, int] = field(default_factory=dict)

    def check(self, what: str) -> Check:
        """The comparison of that name."""
        return self.checks.setdefault(what, Check(what))

    @property
    def agrees(self) -> bool:
        """Whether every integer is the same."""
        return not any(check.disagreements for check in self.checks.values())


def verify(run: Run, url: str, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Execute a run on a fork.

    Parameters
    ----------
    run
        A run on a snapshot that was read from a node.
    url
        An archive node of the same chain.
    progress
        Told how many steps are done, and how many there are.

    Raises
    ------
    InputError
        If the run's book is not from a chain, or suppliers left in it.
    NodeError
        If the node is on another chain, or has another block of that number.
    """
    facts = run.facts["snapshot"]
    if facts["origin"] != "node":
        raise InputError(
            f"the run's book is of origin {facts['origin']!r}: there are no contracts that it could be verified against"
        )
    if any(run.tables["exits"].ints("served_raw")):
        raise InputError(
            "suppliers left in the run, and a fork's do not; verify a run whose scenario has no contagion.runs"
        )
    with Node(url, cache_dir=None) as node:
        block = node.pin(int(facts["block"]), chain_id=int(facts["chain_id"]))
        if block.hash != facts["hash"]:
            raise InputError(f"{node} has another block {block.number} ({block.hash}) than the run ({facts['hash']})")
        fork = Fork(
            node.url, block_hash=block.hash, number=block.number, timestamp=block.timestamp, chain_id=block.chain_id
        )
        return _Verifier(run, fork).verify(progress)


class _Verifier:
    def __init__(self, run: Run, fork: Fork) -> None:
        self.run = run
        self.fork = fork
        self.markets = [Market(**market) for market in run.facts["markets"]]
        self.lending: dict[str, LendingOnFork] = {
            market.name: registry.part("lending", market.protocol, "onfork").OnFork(market, fork)
            for market in self.markets
        }
        self.amm: dict[str, AmmOnFork] = {}
        self.feeds = {(market, token): feed for market, token, feed in run.facts["feeds"]}
        self.accounts: dict[str, list[str]] = {market.name: [] for market in self.markets}
        for row in run.tables["accounts"].rows():
            self.accounts[row["market"]].append(row["account"])
        self.withdrawn_at: dict[str, int] = {}
        for row in run.tables["withdrawals"].rows():
            self.withdrawn_at.setdefault(row["venue"], row["sequence"])
        self.found = Verification()

    def verify(self, progress: Callable[[int, int], None] | None) -> Verification:
        prices, liquidatable = _by_step(self.run, "prices"), _by_step(self.run, "liquidatable")
        liquidations, swaps = _by_step(self.run, "liquidations"), _by_step(self.run, "swaps")
        steps = len(self.run.tables["steps"])
        for step in self.run.tables["steps"].rows():
            number = step["step"]
            self.fork.set_time(step["timestamp"])
            sold = swaps.get(number, [])
            for swap in sold:
                if swap["liquidation"] < 0:
                    self._swap(swap)
            for row in prices.get(number, []):
                if row["published"]:
                    self.lending[row["market"]].set_price(self.feeds[row["market"], row["token"]], row["oracle_raw"])
            self._liquidatable(number, liquidatable.get(number, []))
            after = [("swap", s) for s in sold if s["liquidation"] >= 0] + [
                ("liquidation", x) for x in liquidations.get(number, [])
            ]
            for kind, row in sorted(after, key=lambda item: item[1]["sequence"]):
                self._swap(row) if kind == "swap" else self._liquidate(row)
            if progress:
                progress(number, steps)
        self._deficits()
        return self.found

    def _liquidatable(self, step: int, rows: Iterable[dict[str, Any]]) -> None:
        for market, contract in self.lending.items():
            real = contract.liquidatable(self.accounts[market])
            said = {row["account"]: row["health_raw"] for row in rows if row["market"] == market}
            check = self.found.check("liquidatable before each step, and by how much")
            for account in sorted(real.keys() | said.keys()):
                check.compare(f"step {step}, {market}, {account}", said.get(account), real.get(account))

    def _liquidate(self, row: dict[str, Any]) -> None:
        where = f"liquidation {row['liquidation']} of {row['account']}"
        try:
            repaid, received, fee = self.lending[row["market"]].liquidate(
                row["collateral"], row["debt"], row["account"], row["amount_raw"]
            )
        except Reverted as error:
            self.found.check("liquidations").compare(where, "executed", f"reverted {error.output}")
            return
        self.found.liquidations += 1
        check = self.found.check("liquidations")
        check.compare(f"{where}, repaid", row["repaid_raw"], repaid)
        check.compare(f"{where}, received", row["received_raw"], received)
        check.compare(f"{where}, protocol fee", row["fee_raw"], fee)

    def _left_out(self, row: dict[str, Any]) -> str:
        """Why a swap is not compared; empty where it is."""
        if row["protocol"] == ORDER_BOOK:
            return f"{row['venue']}: no contract holds an order book"
        if self.withdrawn_at.get(row["venue"], row["sequence"]) < row["sequence"]:
            return f"{row['protocol']} pool {row['venue']}: the run took liquidity out of it that the fork's still has"
        return ""

    def _swap(self, row: dict[str, Any]) -> None:
        if reason := self._left_out(row):
            self.found.not_compared[reason] = self.found.not_compared.get(reason, 0) + 1
            return
        where = f"swap {row['sequence']} on {row['venue']}"
        protocol = row["protocol"]
        if protocol not in self.amm:
            self.amm[protocol] = registry.part("amm", protocol, "onfork").OnFork(self.fork)
        try:
            paid, received = self.amm[protocol].swap(row)
        except Reverted as error:
            self.found.check("swaps").compare(where, "executed", f"reverted {error.output}")
            return
        self.found.swaps += 1
        check = self.found.check("swaps")
        check.compare(f"{where}, paid", row["paid_raw"], paid)
        check.compare(f"{where}, received", row["received_raw"], received)

    def _deficits(self) -> None:
        check = self.found.check("final deficits")
        for row in self.run.tables["reserves"].rows():
            contract = self.lending[row["market"]].deficit(row["token"])
            check.compare(f"{row['market']} {row['token']}", row["deficit_after_raw"], contract)


def _by_step(run: Run, table: str) -> dict[int, list[dict[str, Any]]]:
    steps: dict[int, list[dict[str, Any]]] = {}
    for row in run.tables[table].rows():
        steps.setdefault(row["step"], []).append(row)
    return steps
