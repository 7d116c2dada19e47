"""The exercises of one chapter, a module each."""
