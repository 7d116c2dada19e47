"""The machinery: it knows no exercise by name."""
