"""How the function of an exercise goes into a pretrained model: into which socket, as what."""
