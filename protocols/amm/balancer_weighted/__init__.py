"""Balancer v2 weighted pools: constant product of balances to the power of their weights."""
