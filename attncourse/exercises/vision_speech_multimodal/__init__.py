"""The exercises of the chapter on vision, speech and several senses."""
