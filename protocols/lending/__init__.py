"""Lending protocols, one folder each."""
