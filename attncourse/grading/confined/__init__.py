"""The untrusted side: the process that runs a submission, and all that stands in it."""
