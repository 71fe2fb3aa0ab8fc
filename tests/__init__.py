"""Tests mirror the packages; each states something about the world."""
