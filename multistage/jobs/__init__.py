"""What every job shares: its log, its files, its errors and signals."""
