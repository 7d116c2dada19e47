"""Two trained models, wired from this library's functions, each of which can be exchanged.

`SmolLM` writes (SmolLM2-135M-Instruct, causal), `MiniLM` reads (MiniLM-L6, bidirectional). Their
weights and tokenisers are in packages of the ordinary registry: nothing is downloaded here.
"""
