"""The exercises of the chapter on caches, decoding, quantisation and rings."""
