"""What both sides of a wire know: the protocol, frames and channels."""
