"""The exercises of the chapter on evaluation and interpretability."""
