"""TREC files: runs, and RankGPT's permutations that become runs."""
