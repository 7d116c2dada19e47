"""What stands in a submission's text: cells, definitions, uses, fingerprints."""
