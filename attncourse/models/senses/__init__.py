"""One small task for each sense: its data, its model with attention, and the same without."""
