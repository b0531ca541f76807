"""Fine-tuning: exact gradients, resumable stages."""
