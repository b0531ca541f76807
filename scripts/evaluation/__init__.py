"""Evaluation: measures per query, comparisons with intervals and tests, tables and plots."""
