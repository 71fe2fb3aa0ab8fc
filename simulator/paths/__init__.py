"""Whole crash paths in compiled code: no Python object is touched per account, liquidation, sale or step.

`simulator.cascade` is the reference, in integers; this is the same loop in float64, for many thousand paths. The source
is plain Python over arrays and runs interpreted too.
"""
