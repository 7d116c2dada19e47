"""One file for each attention mechanism: the definition first, faster forms below, FORMS last."""
