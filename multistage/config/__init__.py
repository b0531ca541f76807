"""The config: its one definition, and what recipes are."""
