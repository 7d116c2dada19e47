"""The same function computed otherwise: in tiles, in parts that are merged, backwards by hand."""
