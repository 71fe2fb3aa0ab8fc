"""Curve tricrypto-ng: three volatile coins, liquidity concentrated around a price scale that follows the market."""
