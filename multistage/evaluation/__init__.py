"""Measures and statistics: numbers only."""
