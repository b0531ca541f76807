"""Fine-tuning: losses, exact gradients, resumable stages."""
