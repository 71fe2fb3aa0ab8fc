"""Pendle v2 markets: principal tokens against the yield-bearing token that they are a claim on, until they expire."""
