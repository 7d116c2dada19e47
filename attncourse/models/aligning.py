"""A small model that learns, while the reader watches, where to look in another sequence.

One cross-attention, no network: the next letter of the answer is a query, the letters of the
question are the memory. Whatever it writes it has read from there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.mechanisms.dense.self_attention import cross_attention
from attncourse.mechanisms.dense.softmax import softmax

LETTERS = "abcdefghijklmnopqrst"
M = 7  # letters of a word
START = len(LETTERS)  # what stands before the first letter of an answer
TASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "copy": lambda x: x,
    "reverse": lambda x: x.flip(-1),
    "sort": lambda x: x.sort(dim=-1).values,
}


class Aligner(nn.Module):
    """Letters out of letters, by one cross-attention of one head.

    The query for a letter is made of the letter before it and of its place in the answer of n
    letters; keys and values of the m letters of the question, and of their places if `positions`.
    """

    def __init__(self, n: int, m: int, d: int, *, positions: bool, generator: Generator) -> None:
        super().__init__()

        def table(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, d, generator=generator) / d**0.5)

        self.before, self.letters, self.out = (table(START + 1) for _ in range(3))
        self.n, self.asked, self.places = n, table(n), table(m)
        self.w_q, self.w_k, self.w_v = (table(d) for _ in range(3))
        self.positions = positions

    def read(self, question: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (..., n, d), the answer one step late, and memory (..., m, d), the question."""
        start = torch.full_like(answer[..., :1], START)
        x = self.before[torch.cat([start, answer[..., :-1]], dim=-1)] + self.asked
        memory = self.letters[question]
        return x, memory + self.places if self.positions else memory

    def forward(self, question: Tensor, answer: Tensor) -> Tensor:
        """The logits (..., n, 21) of each letter of the answer, given those before it."""
        x, memory = self.read(question, answer)
        return cross_attention(x, memory, self.w_q, self.w_k, self.w_v) @ self.out.mT

    @torch.no_grad()
    def alignment(self, question: Tensor, answer: Tensor) -> Tensor:
        """The weights (..., n, m): for each letter of the answer, where it is read."""
        x, memory = self.read(question, answer)
        q, k = x @ self.w_q, memory @ self.w_k
        return softmax(q @ k.mT / math.sqrt(q.shape[-1]))

    @torch.no_grad()
    def write(self, question: Tensor) -> Tensor:
        """The answer (..., n), the likeliest letter after the other."""
        answer = torch.zeros_like(question[..., : self.n])
        for step in range(self.n):
            answer[..., step] = self(question, answer)[..., step, :].argmax(dim=-1)
        return answer


@dataclass(frozen=True)
class Course:
    """What was seen of a training: the weights for one word at some steps, and how many were right.

    right is the share of letters that the model writes rightly, of 200 words it was not trained on.
    """

    word: str
    answer: str
    frames: dict[int, Tensor]
    right: dict[int, float]
    model: Aligner


def learn_to_align(
    task: str,
    *,
    n: int = 7,
    word: str = "problem",
    positions: bool = True,
    at: Sequence[int] = (0, 50, 100, 200, 400),
    seed: int = 0,
) -> Course:
    """Train an `Aligner` of width 32 to copy, reverse or sort words of 7 different letters.

    It writes the first n letters of the answer. As many steps as the last of `at` says, of 64 words
    each; at those steps the weights for one word are kept. About 2 ms a step. Raises ValueError for
    another task, an n that is not 1 to 7, and a word that is not 7 different letters from a to t.

    Source: reversal as a test of attention: Bahdanau et al. 2015 draw such an alignment.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}: got {task}")
    if not 1 <= n <= M:
        raise ValueError(f"n must be 1 to {M}, the letters of a word: got {n}")
    if len(set(word)) != M or len(word) != M or not set(word) <= set(LETTERS):
        raise ValueError(f"a word is {M} different letters from a to t: got {word}")
    generator = torch.Generator().manual_seed(seed)
    model = Aligner(n, M, 32, positions=positions, generator=generator)
    adam = torch.optim.Adam(model.parameters(), lr=0.004)
    tests, frames, right = _words(200, generator), {}, {}
    wanted = TASKS[task](tests)[:, :n]
    shown = torch.tensor([LETTERS.index(letter) for letter in word])
    answer = TASKS[task](shown)[:n]
    for step in range(max(at) + 1):
        if step in at:
            frames[step] = model.alignment(shown, answer)
            right[step] = (model.write(tests) == wanted).float().mean().item()
        words = _words(64, generator)
        answers = TASKS[task](words)[:, :n]
        loss = functional.cross_entropy(model(words, answers).flatten(0, 1), answers.flatten())
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return Course(word, "".join(LETTERS[i] for i in answer), frames, right, model)


def _words(count: int, generator: Generator) -> Tensor:
    """Words (count, M) of different letters."""
    return torch.rand(count, START, generator=generator).argsort(dim=-1)[:, :M]
