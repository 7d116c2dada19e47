"""The bench: every mechanism against PyTorch's own attention, in one run, on one instrument."""
