"""Training: one scan-compiled loop, checkpoints, several seeds at once, several devices."""
