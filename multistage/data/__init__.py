"""Collections, TREC files, token stores and training groups."""
