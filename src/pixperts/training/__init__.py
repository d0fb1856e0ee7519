"""Training: configurations, losses, steps, checkpoints."""
