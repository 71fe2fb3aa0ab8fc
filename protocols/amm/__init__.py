"""Automated market makers, one folder each."""
