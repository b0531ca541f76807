"""TREC files: runs of any size, candidate matrices, and RankGPT's permutations that become runs."""
