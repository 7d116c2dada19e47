"""What a function costs, counted and not timed."""
