"""Decoding: caches, pages, quantised numbers, rings of devices."""
