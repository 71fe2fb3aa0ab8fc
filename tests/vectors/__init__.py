"""Replays what real contracts answered: ``python -m tests.vectors FILE…``."""
