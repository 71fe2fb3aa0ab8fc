"""Losses that pass through prices: who sells in distress lowers the worth of what others hold.

`clear_with_sales` joins clearing to a price that forced sales depress (Cifuentes, Ferrucci & Shin 2005, "Liquidity risk
and contagion", Journal of the European Economic Association 3, also Bank of England working paper 264).
`liquidity_weighted_overlaps` and `first_round_losses` measure what sales of portfolios do to one another (Cont &
Schaanning 2017, "Fire sales, indirect contagion and systemic stress testing", Norges Bank working paper 2/2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from chain.errors import InputError
from simulator.contagion import fixed_points
from simulator.contagion.clearing import SAME, ClearingVector, Debts, clearing_vector
from simulator.contagion.matrices import FloatArray, Matrix, amounts, scaled_rows, vector

DEEPEST = 700.0
"""Largest exponent of the inverse demand; the price would be zero in float64 not far beyond."""


@dataclass(frozen=True)
class FireSale:
    """One price of the illiquid asset at which debts clear and sales bring about that price.

    Attributes
    ----------
    price
        Of a unit of the illiquid asset, which is 1 before sales.
    sold
        Shape (n,): units that each node sells.
    clearing
        Payments at that price.
    """

    price: float
    sold: FloatArray
    clearing: ClearingVector


@dataclass(frozen=True)
class FireSales:
    """The solutions with the highest and the lowest price; every other lies between them.

    Attributes
    ----------
    greatest, least
        Solutions.
    proceeds_increase
        Whether more units sold always bring in more, up to all there are: ``s exp(-impact s)`` rises while ``s < 1 /
        impact``. This is the condition of Amini, Filipovic & Minca 2016 ("Uniqueness of equilibrium in a payment system
        with liquidation costs", Operations Research Letters 44) for one solution, where nodes sell to raise the cash
        they lack. It does not suffice under a capital ratio below 1, which makes them sell a multiple of that: whether
        there is one solution here is what `unique` says.
    """

    greatest: FireSale
    least: FireSale
    proceeds_increase: bool

    @property
    def unique(self) -> bool:
        """Whether both solutions are the same, to one part in 10^9 of the price and of what each node receives."""
        high, low = self.greatest, self.least
        received = high.clearing.received - low.clearing.received <= SAME * high.clearing.received
        return high.price - low.price <= SAME * high.price and bool(np.all(received))


def clear_with_sales(
    liabilities: Any,
    illiquid: Any,
    cash: Any,
    senior_liabilities: Any = 0.0,
    *,
    capital_ratio: float,
    impact: float,
) -> FireSales:
    """Clear a network whose nodes must sell an illiquid asset to keep a capital ratio.

    At price q a node's external assets are ``q * illiquid + cash``. It sells the fewest units s that keep

        (q * illiquid + cash + received - debts) / (q * (illiquid - s) + received) >= capital_ratio

    cash weighing nothing, or all its units if that cannot be kept; s does not change what it is worth. The price is
    ``q = exp(-impact * sum(s))``. Payments and price only raise one another, so that there are a greatest and a least
    solution, found from full payment at price 1 and from none at the price after everything is sold.

    Parameters
    ----------
    liabilities, senior_liabilities
        See `clearing.clear`. Deposits are senior liabilities. There are no costs of bankruptcy.
    illiquid
        Shape (n,): units held of the asset that falls in price.
    cash
        Shape (n,): liquid assets.
    capital_ratio
        From above 0 to 1.
    impact
        Fall of the logarithm of the price per unit sold.

    Raises
    ------
    InputError
        As `clearing.clear`; or if the capital ratio or the impact is out of range.
    """
    debts = Debts.of(liabilities, senior_liabilities)
    size = len(debts.owed)
    units, liquid = vector("illiquid", illiquid, size), vector("cash", cash, size)
    if not 0.0 < capital_ratio <= 1.0:
        raise InputError(f"capital ratio must be above 0 and at most 1, not {capital_ratio}")
    exponent = impact * float(units.sum())
    if not 0.0 <= exponent <= DEEPEST:
        raise InputError(f"impact times all illiquid units must be from 0 to {DEEPEST:g}, not {exponent}")
    model = _Model(debts, units, liquid, capital_ratio, impact)
    return FireSales(
        greatest=model.settle(1.0, debts.owed, fixed_points.greatest, min),
        least=model.settle(float(np.exp(-exponent)), np.zeros(size), fixed_points.least, max),
        proceeds_increase=exponent < 1.0,
    )


@dataclass(frozen=True)
class _Model:
    debts: Debts
    illiquid: FloatArray
    cash: FloatArray
    capital_ratio: float
    impact: float

    def settle(
        self,
        price: float,
        payments: FloatArray,
        solve: Callable[..., FloatArray],
        toward: Callable[[float, float], float],
    ) -> FireSale:
        """Payments at the price, the price after sales, and so on, one way only, until nothing moves."""
        nothing = np.zeros_like(payments)
        while True:
            assets = price * self.illiquid + self.cash
            offset = assets - self.debts.senior
            payments = solve(self.debts.shares, offset, nothing, self.debts.owed, start=payments)
            sold = self._sold(price, self.debts.shares @ payments)
            moved = toward(price, float(np.exp(-self.impact * sold.sum())))
            if abs(moved - price) <= fixed_points.ROUNDING * price:
                return FireSale(price, sold, clearing_vector(self.debts, assets, payments))
            price = moved

    def _sold(self, price: float, received: FloatArray) -> FloatArray:
        weighted = price * self.illiquid + received
        lacking = self.debts.owed + self.debts.senior - self.cash - (1.0 - self.capital_ratio) * weighted
        return np.clip(lacking / (self.capital_ratio * price), 0.0, self.illiquid)


@dataclass(frozen=True)
class SaleLosses:
    """What a first round of sales costs.

    Attributes
    ----------
    price_falls
        Shape (m,): fall of each asset's price, as a share of it.
    on_kept
        Shape (n,): what each portfolio loses on the part that it keeps, at the prices after all sales.
    on_sold
        Shape (n,): what each portfolio loses on the part that it sells, at the mean of the prices before and after all
        sales.
    """

    price_falls: FloatArray
    on_kept: FloatArray
    on_sold: FloatArray


def liquidity_weighted_overlaps(holdings: Any, depths: Any) -> Matrix:
    """How much portfolios lose by one another's sales: ``Omega[i, j] = sum over m of H[i, m] H[j, m] / D[m]``.

    Portfolio j loses ``Omega[i, j]`` if portfolio i is sold whole, prices fall by the amount sold over market depth,
    and j keeps all that it has.

    Parameters
    ----------
    holdings
        Shape (n, m), dense or any SciPy sparse format: worth of each portfolio's holding of each asset.
    depths
        Shape (m,): market depth of each asset, the worth whose sale would bring its price to zero were impact linear
        all the way. Positive, in the same unit.

    Returns
    -------
    Shape (n, n), symmetric, in that unit; sparse if holdings are.

    Raises
    ------
    InputError
        If shapes do not agree, an amount is negative or not finite, or a depth is 0.
    """
    matrix, deep = _portfolios(holdings, depths)
    overlaps: Matrix = matrix @ scaled_rows(matrix.T, 1.0 / deep)
    return sparse.csr_array(overlaps) if sparse.issparse(overlaps) else overlaps


def first_round_losses(holdings: Any, depths: Any, sold_shares: Any) -> SaleLosses:
    """Losses when each portfolio sells a share of each of its holdings, all at once, with linear impact.

    Who sells nothing loses ``sold_shares @ liquidity_weighted_overlaps(holdings, depths)``. Of the same amount a seller
    loses the whole on what it keeps and half on what it sells, as it sells at mean prices.

    Parameters
    ----------
    holdings, depths
        See `liquidity_weighted_overlaps`.
    sold_shares
        Shape (n,): share of its holdings that each portfolio sells, from 0 to 1.

    Raises
    ------
    InputError
        As `liquidity_weighted_overlaps`; or if a share is above 1, or more of an asset is sold than its depth.
    """
    matrix, deep = _portfolios(holdings, depths)
    shares = vector("sold shares", sold_shares, matrix.shape[0])
    if shares.size and shares.max() > 1.0:
        raise InputError(f"sold shares must be from 0 to 1, not {shares.max()}")
    falls = (shares @ matrix) / deep
    if falls.size and falls.max() > 1.0:
        asset = int(falls.argmax())
        raise InputError(f"asset {asset}: {falls[asset]:.3g} times its depth is sold, where linear impact has no price")
    lost = matrix @ falls
    return SaleLosses(price_falls=falls, on_kept=(1.0 - shares) * lost, on_sold=0.5 * shares * lost)


def _portfolios(holdings: Any, depths: Any) -> tuple[Matrix, FloatArray]:
    matrix = amounts("holdings", holdings)
    deep = vector("depths", depths, matrix.shape[1])
    if not np.all(deep > 0.0):
        raise InputError(f"depths: asset {int(np.flatnonzero(deep == 0.0)[0])} has none; give it one or leave it out")
    return matrix, deep
