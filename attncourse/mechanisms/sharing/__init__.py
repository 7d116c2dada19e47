"""What heads, layers and segments may share, and how memories are fused."""
