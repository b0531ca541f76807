"""What every job of the workflow shares: its config, its log, its files."""
