"""What both sides of a wire know: frames and channels."""
