"""Linear attention: feature maps, random features, recurrences."""
