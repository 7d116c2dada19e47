"""Who sees whom follows from the content: top-k, thresholds, sparse simplices, hashing, routing."""
