"""Uniswap v4: one contract that holds every pool; here those without hooks."""
