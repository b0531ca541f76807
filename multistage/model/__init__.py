"""Cross-encoder checkpoints: loading, precision and speed."""
