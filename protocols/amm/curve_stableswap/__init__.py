"""Curve StableSwap: plain pools of the NG factory, and pools of 3pool's kind of 2020."""
