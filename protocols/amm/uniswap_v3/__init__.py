"""Uniswap v3: liquidity concentrated between ticks."""
