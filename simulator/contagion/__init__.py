"""How failure travels through a network: the mathematics alone, on matrices, dense or sparse, of any institutions.

`clearing` settles mutual debts, `debtrank` spreads distress, `fire_sales` passes losses on through prices. Amounts are
in one unit throughout, US dollars where they come from a snapshot.
"""
