"""First-stage retrieval: BM25 with Lucene, late interaction with a PLAID index."""
