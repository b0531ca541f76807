"""First-stage retrieval: BM25 with Lucene, late interaction with PLAID, dense vectors, and runs that are there already."""
