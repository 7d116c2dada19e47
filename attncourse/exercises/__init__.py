"""The exercises, one module each; the chapters they belong to, in the order of the book."""
