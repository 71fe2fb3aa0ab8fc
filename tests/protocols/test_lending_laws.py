"""What holds of liquidation in every lending protocol, over random books, prices and times.

Each law stands here once. Where a protocol is an exception it says so by an attribute of its book.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import registry
from protocols.lending.interface import Offer, Settlement
from tests.protocols.lending_books import BOOKS, FIXED_SPREAD, WITHOUT_DUST_RULE, Book
from tests.protocols.rationals import UNROUNDED, rationals

seeds = st.integers(0, 2**40)
waits = st.sampled_from([0, 12, 3_600, 7 * 86_400])
shares = st.just(Fraction(1)) | st.fractions(Fraction(1, 50), 1, max_denominator=50)
every_protocol = pytest.mark.parametrize("protocol", BOOKS)
every_fixed_spread = pytest.mark.parametrize("protocol", FIXED_SPREAD)


def test_every_protocol_that_is_modelled_is_held_to_the_laws() -> None:
    assert BOOKS.keys() == set(registry.names("lending"))
    assert set(BOOKS) - set(FIXED_SPREAD) == {"aave_v4", "compound_v3"}, "a bonus that grows, and a shop window"


def stirred(protocol: str, seed: int, seconds: int, low: float = 0.6, high: float = 1.4) -> Book:
    """A random book, some time later, at other prices."""
    book = BOOKS[protocol](seed, seconds)
    book.move_prices(seed, low, high)
    return book


def offers(book: Book) -> list[Offer]:
    """Everything that may be done now."""
    return [offer for account in book.accounts() for offer in book.market.offers(account)]


# --- 1: no token is created or lost -------------------------------------------------------------------------------


@every_protocol
def test_no_token_is_created_or_lost(protocol: str) -> None:
    done: list[Settlement] = []

    @settings(max_examples=70)
    @given(seeds, waits, shares)
    def law(seed: int, seconds: int, share: Fraction) -> None:
        book = stirred(protocol, seed, seconds)
        for offer in offers(book):
            settle(book, offer, share, done)
        for offer in book.market.standing_offers():
            settle(book, offer, share, done)

    law()
    assert len(done) >= 20
    assert any(settlement.deficits_raw for settlement in done) == BOOKS[protocol].writes_off


def settle(book: Book, offer: Offer, share: Fraction, done: list[Settlement]) -> None:
    """Take part of an offer, or all of it, and follow every token."""
    before, was = Ledger(book), book.records()
    settlement = book.market.settle(offer, max(int(offer.most_raw * share), 1))
    after, terms = Ledger(book), settlement.terms
    if terms.refusal:
        assert (after, book.records()) == (before, was)
        return
    done.append(settlement)
    assert book.records() == was, "every total changes as its parts do"
    c, d = offer.collateral, offer.debt
    written_off = dict(settlement.deficits_raw)
    fee_out = terms.fee_raw if book.fee_leaves else 0
    units = book.coarseness()
    for r, unit in enumerate(units):
        # each balance is rounded by itself
        slack = (3 + 2 * len(book.accounts())) * unit
        paid_in = (r == d) * terms.repaid_raw - (r == c) * (terms.received_raw + fee_out)
        assert abs(after.held[r] - before.held[r] - paid_in) <= book.held_slack, "the contract's tokens, to the unit"
        assert abs(after.balance[r] - before.balance[r]) <= slack, "what leaves one place arrives at another"
        if offer.account >= 0 and not offer.unpaid:
            gone = (r == d) * terms.repaid_raw + written_off.get(r, 0)
            assert abs(before.debt[r] - after.debt[r] - gone) <= slack, "debt is repaid or written off"
        if not offer.unpaid and not book.fee_leaves:
            assert abs(after.kept[r] - before.kept[r] - book.income(offer, terms)[r]) <= slack, "the fee is kept"
        assert after.claims[r] >= before.claims[r], "other lenders lose nothing but what is written off"
    for account in set(book.accounts()) - {offer.account}:
        for mine, theirs in ((after.supplies, before.supplies), (after.debts, before.debts)):
            assert mine[account].keys() == theirs[account].keys()
            assert all(abs(mine[account][r] - theirs[account][r]) <= 2 * units[r] for r in mine[account])


class Ledger:
    """What belongs to whom at a moment."""

    def __init__(self, book: Book) -> None:
        self.held, self.debt, self.kept = book.held(), book.debt(), book.kept()
        self.balance, self.claims = book.balance(), book.claims()
        self.supplies = [book.supplies(account) for account in book.accounts()]
        self.debts = [book.debts(account) for account in book.accounts()]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@every_protocol
def test_cash_and_loans_are_what_the_contracts_hold_and_what_accounts_owe(protocol: str) -> None:
    followed: list[int] = []

    @settings(max_examples=70)
    @given(seeds, waits, shares)
    def law(seed: int, seconds: int, share: Fraction) -> None:
        book = stirred(protocol, seed, seconds)
        for offer in [*offers(book), *book.market.standing_offers()]:
            before, was = book.market.cash_and_loans_raw(), book.debt()
            adds_up = [book.owed_adds_up(r) for r in range(len(before))]
            if book.market.settle(offer, max(int(offer.most_raw * share), 1)).terms.refusal:
                continue
            after, now, held = book.market.cash_and_loans_raw(), book.debt(), book.held()
            for r, unit in enumerate(book.coarseness()):
                if not any((*before[r], *after[r])):
                    # never lent, and so owed by nobody
                    assert not was[r]
                    continue
                assert after[r][0] == held[r]
                if adds_up[r]:
                    fallen = before[r][1] - after[r][1]
                    assert abs(fallen - (was[r] - now[r])) <= (3 + 2 * len(book.accounts())) * unit
                    followed.append(fallen)

    law()
    assert sum(fallen > 0 for fallen in followed) >= 20


# --- 2: a healthy account is never touched ------------------------------------------------------------------------


@every_protocol
def test_a_healthy_account_is_never_touched(protocol: str) -> None:
    seen = {True: 0, False: 0}

    @settings(max_examples=70)
    @given(seeds, waits, st.integers(1, 2**100))
    def law(seed: int, seconds: int, amount: int) -> None:
        book = stirred(protocol, seed, seconds)
        market, reserves = book.market, range(len(book.market.tokens))
        assert market.open_accounts() == []
        for account in book.accounts():
            healthy = book.is_healthy(account)
            seen[healthy] += 1
            assert market.is_liquidatable(account) is not healthy
            if not healthy:
                continue
            assert market.offers(account) == []
            before = market.state()
            for collateral in reserves:
                for debt in reserves:
                    offer = Offer(account, collateral, debt, amount, unpaid=book.absorbs)
                    assert market.terms(offer, amount).refusal
                    settlement = market.settle(offer, amount)
                    assert settlement.terms.refusal
                    assert settlement.deficits_raw == ()
            assert market.state() == before

    law()
    assert min(seen.values()) >= 10


# --- 3: what a fixed spread does to the loan-to-value -------------------------------------------------------------


@every_fixed_spread
def test_without_rounding_ltv_falls_if_and_only_if_it_is_below_one_over_the_bonus(protocol: str) -> None:
    seen = {-1: 0, 0: 0, 1: 0}

    @settings(max_examples=70)
    @given(seeds, shares)
    def law(seed: int, share: Fraction) -> None:
        with rationals():
            book = BOOKS[protocol](seed, flush=True)
            book.move_prices(seed, 0.3, 1.2)
            for account, collateral, debt in pairs(book):
                if not (book.seizable(account).get(collateral) and book.debts(account)[debt]):
                    continue
                before, bonus = ltv(book, account), book.bonus(account, collateral)
                amount = share * book.most(account, collateral, debt)
                settlement = book.market.settle(Offer(account, collateral, debt, 0), amount)
                if settlement.terms.refusal or not book.value(book.seizable(account)):
                    continue
                # a repayment that is cut stays a liquidation at the same spread
                assert settlement.terms.repaid_raw <= amount
                assert sign(ltv(book, account) - before) == sign(before - 1 / bonus)
                seen[sign(before - 1 / bonus)] += 1

    law()
    assert min(seen[-1], seen[1]) >= 4


@every_fixed_spread
def test_on_integers_ltv_falls_if_and_only_if_it_is_below_one_over_the_bonus_within_rounding(protocol: str) -> None:
    seen = {-1: 0, 0: 0, 1: 0}

    @settings(max_examples=70)
    @given(seeds, waits, shares)
    def law(seed: int, seconds: int, share: Fraction) -> None:
        book = stirred(protocol, seed, seconds, 0.3, 1.2)
        for offer in offers(book):
            if not book.seizable(offer.account).get(offer.collateral):
                continue
            before, toxic = ltv(book, offer.account), 1 / book.bonus(offer.account, offer.collateral)
            terms = book.market.settle(offer, max(int(offer.most_raw * share), 1)).terms
            left = book.value(book.seizable(offer.account))
            if terms.refusal or not left:
                continue
            after = ltv(book, offer.account)
            units = 3 * book.price(offer.debt) + book.grain(offer, terms) * book.price(offer.collateral)
            rounding = units * (1 + after) / left
            if before < toxic:
                assert after <= before + rounding
            elif before > toxic:
                assert after >= before - rounding
            seen[sign(before - toxic)] += 1

    law()
    assert min(seen[-1], seen[1]) >= 4


def pairs(book: Book) -> list[tuple[int, int, int]]:
    """Account, collateral and debt of everything that could be asked for."""
    return [
        (account, collateral, debt)
        for account in book.accounts()
        for collateral, amount in book.seizable(account).items()
        for debt, owed in book.debts(account).items()
        if amount and owed
    ]


def ltv(book: Book, account: int) -> Fraction:
    """Debt over the collateral that liquidators can get, at oracle prices."""
    return book.value(book.debts(account)) / book.value(book.seizable(account))


def sign(x: Any) -> int:
    return int(x > 0) - int(x < 0)


# --- 4: what is never repaid --------------------------------------------------------------------------------------


@every_fixed_spread
def test_without_rounding_what_is_never_repaid_does_not_depend_on_the_steps(protocol: str) -> None:
    """D - sum of C / (1 + b), at fixed prices, with one debt asset."""
    finished: list[int] = []

    @settings(max_examples=70)
    @given(seeds, st.lists(shares, max_size=4))
    def law(seed: int, steps: list[Fraction]) -> None:
        with rationals():
            book = WITHOUT_DUST_RULE[protocol](seed, flush=True)
            for account, debt in hopeless(book, seed):
                expected = lost(book, account) - book.recoverable(account)
                finished.append(finish(book, account, debt, steps, seed))
                assert lost(book, account) == expected

    law()
    assert len(finished) >= 5
    assert max(finished) >= 4


def lost(book: Book, account: int) -> Fraction:
    """What the account owes, and all that was ever written off."""
    deficits = dict(enumerate(book.market.deficits_raw()))
    return book.value(book.debts(account)) + book.value(deficits)


def hopeless(book: Book, seed: int) -> list[tuple[int, int]]:
    """Accounts that owe one token and have none of it, and that token; prices moved until none can be made good."""
    draw = random.Random(seed)
    found = []
    for account in book.accounts():
        owed = [r for r, amount in book.debts(account).items() if amount]
        held = [r for r, amount in book.seizable(account).items() if amount]
        if len(owed) == 1 and held and owed[0] not in held:
            found.append((account, owed[0]))
    for account, debt in found[:1]:
        excess = book.value(book.debts(account)) / book.recoverable(account)
        factor = round(1_000 * min(excess / Fraction(draw.uniform(1.02, 3)), Fraction(1)))
        for r in range(len(book.market.tokens)):
            if r not in (debt, book.market.numeraire):
                book.market.set_price(r, max(book.market.price_raw(r) * factor // 1_000, 1))
        if book.market.numeraire in book.seizable(account) and debt != book.market.numeraire:
            book.market.set_price(debt, book.market.price_raw(debt) * 1_000 // max(factor, 1))
    return [pair for pair in found[:1] if book.value(book.debts(pair[0])) > book.recoverable(pair[0])]


def finish(book: Book, account: int, debt: int, steps: list[Fraction], seed: int) -> int:
    """Liquidate by shares of what may be taken at once, then by all of it, until nothing is left to take."""
    draw, count = random.Random(seed), 0
    while held := [r for r, amount in book.seizable(account).items() if amount]:
        collateral = draw.choice(held)
        share = steps[count] if count < len(steps) else 1
        amount = share * book.most(account, collateral, debt)
        terms = book.market.settle(Offer(account, collateral, debt, 0), amount).terms
        assert not terms.refusal
        count += 1
    return count


@every_fixed_spread
def test_on_integers_what_is_never_repaid_does_not_depend_on_the_steps_within_rounding(protocol: str) -> None:
    finished: list[int] = []

    @settings(max_examples=70)
    @given(seeds, st.lists(shares, max_size=4))
    def law(seed: int, steps: list[Fraction]) -> None:
        book = WITHOUT_DUST_RULE[protocol](seed, 60, flush=True)
        for account, debt in hopeless(book, seed):
            expected = lost(book, account) - book.recoverable(account)
            count, rounding = 0, Fraction(0)
            while found := [offer for offer in book.market.offers(account) if offer.debt == debt]:
                offer = found[count % len(found)]
                share = steps[count] if count < len(steps) else 1
                terms = book.market.settle(offer, max(int(offer.most_raw * share), 1)).terms
                if terms.refusal or not terms.received_raw:
                    break
                rounding += 3 * book.price(debt) + book.grain(offer, terms) * book.price(offer.collateral)
                count += 1
            # a unit too small to be offered may be left
            rounding += book.recoverable(account)
            assert abs(lost(book, account) - expected) <= rounding
            assert book.recoverable(account) <= rounding
            finished.append(count)

    law()
    assert len(finished) >= 5
    assert max(finished) >= 4


# --- 5: time ------------------------------------------------------------------------------------------------------


@every_protocol
def test_interest_stored_half_way_is_that_of_the_whole_but_for_what_it_compounds(protocol: str) -> None:
    @settings(max_examples=70)
    @given(seeds, st.integers(1, 30 * 86_400), st.integers(1, 30 * 86_400))
    def law(seed: int, first: int, second: int) -> None:
        for what, once, twice, least, most in BOOKS[protocol].accruals(seed, first, second):
            assert least <= twice - once <= most, what

    law()


@pytest.mark.parametrize("protocol", [name for name, book in BOOKS.items() if not book.compounds_alone])
def test_as_long_as_nothing_is_stored_time_may_pass_in_any_steps(protocol: str) -> None:
    @settings(max_examples=70)
    @given(seeds, st.lists(st.integers(0, 10**6), min_size=2, max_size=5))
    def law(seed: int, steps: list[int]) -> None:
        stepped, at_once = BOOKS[protocol](seed), BOOKS[protocol](seed, sum(steps))
        now = stepped.now
        for seconds in steps:
            now += seconds
            stepped.market.advance(now)
        assert stepped.market.state() == at_once.market.state()
        for account in at_once.accounts():
            assert stepped.market.health_raw(account) == at_once.market.health_raw(account)

    law()


# --- the arithmetic without rounding ------------------------------------------------------------------------------


def test_every_primitive_that_rounds_has_an_unrounded_form_that_it_is_a_rounding_of() -> None:
    """Exact results of either form are the same; where they differ it is by less than one."""
    draw = random.Random(1)
    for exact, unrounded in UNROUNDED.items():
        for _ in range(50):
            arguments = [draw.randrange(1, 10**30) for _ in range(exact.__code__.co_argcount)]
            assert abs(exact(*arguments) - unrounded(*arguments)) < 1
