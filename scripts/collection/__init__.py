"""Collections and query sets: passages, queries and relevance judgements as Parquet tables."""
