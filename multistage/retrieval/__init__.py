"""First stages: BM25 with Lucene, ColBERT with PLAID, dense vectors, runs that are there already."""
