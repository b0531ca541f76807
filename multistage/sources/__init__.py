"""Where files come from: packages, downloads, model hubs."""
