"""Replay of recorded books: whole cascades, liquidation by liquidation, through the market that the engine steps.

The order is the file's: before every liquidation all accounts are read at its block's time, and the one with the
lowest health factor below 1 goes next (ties by name), until none is left that can be liquidated and was not refused
in this step. It repays as much as it can of its largest debt for its largest collateral. A block takes 12 seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from protocols.arithmetic import max_uint256
from protocols.lending.aave_v3.balances import debt_balance, supplied_balance
from protocols.lending.aave_v3.market import AaveV3Market
from protocols.lending.aave_v3.rules import OWN, Call, quote
from protocols.lending.aave_v3.versions import Version
from protocols.lending.interface import Offer, Settlement
from tests.vectors.aave_v3_pool import (
    Ledger,
    NotUnderstoodError,
    Pool,
    Record,
    differences,
    expect,
    fast_form,
    read_pool,
    reserve_differences,
    show_account,
    show_position,
)
from tests.vectors.outcome import RELATIVE_TOLERANCE, Outcome

BLOCK_S = 12
WAD = 10**18


@dataclass
class Book:
    """A market in the middle of a replay, and what was found so far."""

    pool: Pool
    market: AaveV3Market
    ledger: Ledger
    names: list[str]
    initial: Record
    now: int
    wrong: list[str] = field(default_factory=list)
    fast_error: float = 0.0
    margins: list[float] = field(default_factory=list)

    def refresh(self) -> None:
        """Take over the market's state."""
        self.pool.reserves, self.pool.positions = self.market.state()


def check_book(version: Version, case: Record) -> Outcome:
    """The outcome of one recorded book."""
    expect("book", case, {"id", "world", "split", "initial", "steps", "final_deficit"})
    book = _read(version, case["initial"])
    for step in case["steps"]:
        _check_step(book, step)
        if book.wrong:
            return Outcome(case["id"], f"step {step['step']}: {book.wrong[0]}")
    deficits = dict(zip(book.pool.symbols, book.market.deficits_raw(), strict=True))
    book.wrong += differences("final_deficit", case["final_deficit"], deficits)
    if book.wrong:
        return Outcome(case["id"], book.wrong[0])
    branched = max(book.margins) if book.margins and book.fast_error <= RELATIVE_TOLERANCE else None
    return Outcome(case["id"], "", book.fast_error, branched)


def _read(version: Version, initial: Record) -> Book:
    expect("initial", initial, {"timestamp", "reserves", "emodeCategories", "accounts", "treasury_initial"})
    emodes = {int(category): row for category, row in initial["emodeCategories"].items()}
    accounts = initial["accounts"]
    pool = read_pool(
        version,
        initial["reserves"],
        emodes,
        [(int(account["emode"]), account["positions"]) for account in accounts.values()],
    )
    now = int(initial["timestamp"])
    market = AaveV3Market(
        "book", version.name, list(accounts), pool.symbols, pool.reserves, pool.emodes, pool.positions, now
    )
    book = Book(pool, market, Ledger.read(pool, initial["reserves"]), list(accounts), initial, now)
    treasury = dict(zip(pool.symbols, pool.reserves.treasury_scaled, strict=True))
    book.wrong += differences("treasury_initial", initial["treasury_initial"], treasury)
    book.wrong += _state_differences("initial", book, initial["reserves"], accounts)
    return book


def _state_differences(where: str, book: Book, reserves: Record, accounts: Record) -> list[str]:
    book.refresh()
    pool, indices, wrong = book.pool, book.pool.indices(book.now), []
    for r, symbol in enumerate(pool.symbols):
        before = book.initial["reserves"][symbol]
        wrong += reserve_differences(f"{where}.{symbol}", pool, r, indices, book.ledger, reserves[symbol], before)
    if list(accounts) != book.names or set(reserves) != set(pool.symbols):
        raise NotUnderstoodError(f"{where} shows other accounts or reserves than the book has")
    for number, (name, account) in enumerate(accounts.items()):
        data = book.market.account_data(number)
        shown = show_account(data) | {"emode": pool.positions.emode[number]}
        totals = {key: value for key, value in account.items() if key != "positions"}
        wrong += differences(f"{where}.{name}", totals, shown)
        wrong += _position_differences(f"{where}.{name}", book, number, account["positions"])
    return wrong


def _position_differences(where: str, book: Book, account: int, recorded: Record) -> list[str]:
    """Differences of the reserves that a record shows; those that it leaves out are to be empty."""
    pool, indices, wrong = book.pool, book.pool.indices(book.now), []
    entries = pool.entries(account)
    for symbol, entry in entries.items():
        shown = show_position(pool, entry, indices)
        if symbol in recorded:
            wrong += differences(f"{where}.{symbol}", recorded[symbol], shown)
        elif any(shown.values()):
            wrong.append(f"{where}.{symbol} is {shown}, and not recorded")
    for symbol in recorded.keys() - entries.keys():
        if any(value if isinstance(value, bool) else int(value) for value in recorded[symbol].values()):
            wrong.append(f"{where}.{symbol} is not there, recorded {recorded[symbol]}")
    return wrong


STEP = {
    *("step", "prices", "price_change_timestamp", "liquidatable_at_first_block", "liquidations", "blocked"),
    *("end_timestamp", "reserves_end", "accounts_end", "deficit_end"),
}


def _check_step(book: Book, step: Record) -> None:
    expect("step", step, STEP)
    for r, symbol in enumerate(book.pool.symbols):
        book.market.set_price(r, int(step["prices"][symbol]))
    book.now = int(step["price_change_timestamp"])
    refused: set[int] = set()
    liquidations = iter(step["liquidations"])
    first = True
    while True:
        book.now += BLOCK_S
        book.market.advance(book.now)
        book.refresh()
        unhealthy = _unhealthy(book)
        if first:
            found = [book.names[account] for account in unhealthy]
            if found != step["liquidatable_at_first_block"]:
                book.wrong.append(f"liquidatable are {found}, recorded {step['liquidatable_at_first_block']}")
            first = False
        pairs = {account: _pair(book, account) for account in unhealthy}
        account = next((a for a in unhealthy if a not in refused and pairs[a] is not None), None)
        if account is None or book.wrong:
            break
        pair = pairs[account]
        assert pair is not None
        recorded = next(liquidations, None)
        if recorded is None:
            book.wrong.append(f"{book.names[account]} is liquidated, recorded no further liquidation")
            break
        if _check_liquidation(book, account, *pair, recorded):
            refused.add(account)
    if book.wrong:
        return
    book.wrong += [f"liquidation {rest['seq']} does not come about" for rest in liquidations]
    blocked = sorted(book.names[a] for a in unhealthy if pairs[a] is None)
    if blocked != sorted(step["blocked"]):
        book.wrong.append(f"blocked are {blocked}, recorded {step['blocked']}")
    if book.now != int(step["end_timestamp"]):
        book.wrong.append(f"ends at {book.now}, recorded {step['end_timestamp']}")
    book.wrong += _state_differences("end", book, step["reserves_end"], step["accounts_end"])
    deficits = dict(zip(book.pool.symbols, book.market.deficits_raw(), strict=True))
    book.wrong += differences("deficit_end", step["deficit_end"], deficits)


def _unhealthy(book: Book) -> list[int]:
    factors = [(book.market.health_raw(account), name, account) for account, name in enumerate(book.names)]
    return [account for factor, _, account in sorted(factors) if factor < WAD]


def _pair(book: Book, account: int) -> tuple[int, int] | None:
    """The account's largest collateral and largest debt by exact value; None if it lacks one."""
    pool, indices, version = book.pool, book.pool.indices(book.now), book.pool.version.code
    reserves, positions = pool.reserves, pool.positions

    def largest(values: Iterator[tuple[int, int]]) -> int | None:
        worth = [(Fraction(amount * reserves.price_raw[r], reserves.unit[r]), -r) for r, amount in values if amount]
        return -max(worth)[1] if worth else None

    entries = [(positions.reserve[entry], entry) for entry in pool.entries(account).values()]
    collateral = largest(
        (r, supplied_balance(version, positions.supplied_scaled[entry], indices.income[r]))
        for r, entry in entries
        if positions.collateral[entry]
    )
    debt = largest((r, debt_balance(version, positions.debt_scaled[entry], indices.debt[r])) for r, entry in entries)
    return None if collateral is None or debt is None else (collateral, debt)


LIQUIDATION = {
    *("seq", "block_timestamp", "account", "healthFactor_before", "collateral", "debt", "reverted"),
    *("debtRepaid", "collateralToLiquidator", "protocolFee", "treasury_scaled_delta", "deficits"),
    *("healthFactor_after", "totalCollateralBase_after", "totalDebtBase_after", "positions_after"),
    *("selector", "error", "data"),
}


def _check_liquidation(book: Book, account: int, collateral: int, debt: int, recorded: Record) -> bool:
    """Execute the next liquidation and compare it; whether it was refused."""
    expect("liquidation", recorded, LIQUIDATION)
    pool, market = book.pool, book.market
    call = Call(account, collateral, debt, max_uint256(), False, False, False)
    state = pool.reserves, pool.indices(book.now), pool.emodes, pool.positions
    quoted = quote(pool.version.code, OWN, *state, market.account_data(account), call, book.now)
    health = market.health_raw(account)
    was = pool.copy()
    settlement = market.settle(Offer(account, collateral, debt, quoted.repaid), max_uint256())
    book.refresh()
    terms, refusal = settlement.terms, settlement.terms.refusal
    if not refusal:
        book.ledger.move(call, quoted)

    error, margin = fast_form(was, call, book.now, quoted, pool)
    book.fast_error = max(book.fast_error, error)
    book.margins += [] if margin is None else [margin]

    where = f"liquidation {recorded['seq']}"
    said = {
        "block_timestamp": str(book.now),
        "account": book.names[account],
        "healthFactor_before": str(health),
        "collateral": pool.symbols[collateral],
        "debt": pool.symbols[debt],
        "reverted": bool(refusal),
    }
    if refusal:
        said["error"] = refusal
    else:
        data = market.account_data(account)
        said |= {
            "debtRepaid": str(terms.repaid_raw),
            "collateralToLiquidator": str(terms.received_raw),
            "protocolFee": str(terms.fee_raw),
            "treasury_scaled_delta": str(
                pool.reserves.treasury_scaled[collateral] - was.reserves.treasury_scaled[collateral]
            ),
            "deficits": _deficits(pool, settlement),
            "healthFactor_after": str(data.health_factor),
            "totalCollateralBase_after": str(data.collateral),
            "totalDebtBase_after": str(data.debt),
        }
        book.wrong += _position_differences(where, book, account, recorded["positions_after"])
    apart = ("seq", "positions_after", "selector", "data")
    wanted = {key: value for key, value in recorded.items() if key not in apart}
    book.wrong += [
        f"{where}.{key} is {said.get(key)}, recorded {wanted.get(key)}"
        for key in sorted(said.keys() | wanted.keys())
        if said.get(key) != wanted.get(key)
    ]
    return bool(refusal)


def _deficits(pool: Pool, settlement: Settlement) -> list[Record]:
    return [{"asset": pool.symbols[r], "amount": str(amount)} for r, amount in settlement.deficits_raw]
