"""Uniswap v2: constant product, 0.3 % fee."""
