"""What every mechanism stands on: shape errors, masks, accumulation types and probes."""
