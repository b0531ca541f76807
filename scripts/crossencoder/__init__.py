"""Cross-encoder re-rankers: token stores, groups, objectives, fine-tuning and scoring."""
