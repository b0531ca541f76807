"""Scoring (query, passage) pairs, and re-ranking runs with it."""
