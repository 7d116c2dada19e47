"""The exercises of the debugging clinic: each stub is a patient."""
