"""The trusted side: it asks, compares and concludes; nothing of a submission runs here."""
