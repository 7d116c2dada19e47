r"""# Mend a writer with one word

A tiny language model: a table of token vectors, attention from the last token over all that stands
there, a matrix to the vocabulary. Token after token it is to write

$$t_{s+1} = \operatorname*{argmax}_c \left( Z W \right)_c, \qquad
Z = \sum_{j \le s} w_j \, x_j , \qquad w = \mathrm{softmax}\!\left(\frac{X x_s}{\sqrt d}\right),$$

with X the vectors of all tokens so far, prompt and written ones, and $x_s$ that of the last. This
function writes as many tokens as it is asked for. They are all the same. Find out what the second
step knows of the first, and mend it.

- `prompt` is an integer tensor (n,), `table` is (c, d), `w_out` is (d, c); the result is an
  integer tensor of the `count` new tokens, without the prompt. `count` may be 0, and then it is
  empty.
- Of equal numbers the token with the lowest index wins, as in `argmax`. The prompt is not changed.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Print what the function looks at before each new token. Does it grow?",
    "A new token is appended to those that are there, and the next step begins with its vector: "
    "table, attention, argmax and all belong into the loop.",
)
forbidden = ()


def solution(
    prompt: Int[Tensor, " n"],
    table: Float[Tensor, "c d"],
    w_out: Float[Tensor, "d c"],
    *,
    count: int,
) -> Int[Tensor, " count"]:
    """The tokens that greedy decoding writes behind a prompt.

    >>> following = torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # 0, then 1, then 2, then 0
    >>> solution(torch.tensor([0]), 40 * torch.eye(3), following, count=4).tolist()
    [1, 2, 0, 1]
    """
    ids = prompt
    for _ in range(count):
        x = table[ids]
        scores = x @ x[-1] / math.sqrt(x.shape[-1])
        logits = torch.softmax(scores, dim=0) @ x @ w_out
        ids = torch.cat([ids, logits.argmax()[None]])
    return ids[len(prompt) :]


def check_writes_what_greedy_decoding_writes(student):
    """equals the loop, for short and long prompts and several vocabularies"""
    for n, c, d, count in ((3, 11, 6, 7), (1, 7, 5, 9), (6, 23, 8, 5)):
        given = _inputs(n, c, d, std=0.5, seed=n)
        assert_same(student(*given, count=count), solution(*given, count=count))


def check_counts_in_a_circle(student):
    """where each token is followed by the next one, it counts, and not on the spot"""
    for c, start in ((5, 2), (7, 0)):
        table = 40.0 * torch.eye(c, dtype=torch.float64)
        following = torch.eye(c, dtype=torch.float64).roll(1, dims=1)
        expected = torch.tensor([(start + s) % c for s in range(1, c + 3)])
        ours = student(torch.tensor([start]), table, following, count=c + 2)
        assert_same(ours, expected, "what follows the first token")


def check_the_last_token_asks(student):
    """the query is that of the last token, and all tokens answer"""
    for seed in range(40, 49):
        given = _inputs(2, 29, 16, std=0.8, seed=seed)
        assert_same(student(*given, count=9), solution(*given, count=9))


def check_takes_any_count(student):
    """no token, one token, and float32 tables; a choice has no gradient"""
    for count in (0, 1, 2, 3):
        prompt, table, w_out = _inputs(4, 9, 5, std=0.6, seed=60)
        ours = student(prompt, table.float(), w_out.float(), count=count)
        assert_same(ours, solution(prompt, table, w_out, count=count))

    prompt, table, w_out = _inputs(3, 7, 6, std=0.6, seed=70)
    table[:, 0], w_out[0] = 1.0, -1e8  # all logits far below zero, and near each other
    ours = student(prompt, table, w_out, count=5)
    assert_same(ours, solution(prompt, table, w_out, count=5))
    flat = gradients(student, prompt, table, w_out, count=2)
    assert_same(flat, (torch.zeros_like(table), torch.zeros_like(w_out)), "the gradient")


def _inputs(n, c, d, *, std, seed):
    prompt = gaussian(n, std=50.0, seed=seed).long().abs() % c
    return prompt, gaussian(c, d, std=std, seed=seed + 1), gaussian(d, c, std=1.0, seed=seed + 2)


def _next(x, w_out, asks=-1):
    """The logits after vectors x, asked for by one of them."""
    scores = x @ x[asks] / math.sqrt(x.shape[-1])
    return torch.softmax(scores, dim=0) @ x @ w_out


def wrong_one_step_repeated(prompt, table, w_out, *, count):
    """You compute one token and repeat it: nothing that is written is ever read. Append it, and
    begin the next step with what stands there now.
    """
    tokens = table[prompt]
    weights = torch.softmax(tokens @ tokens[-1] / math.sqrt(tokens.shape[-1]), dim=0)
    token = (weights @ tokens @ w_out).argmax()
    return token.repeat(count)


stub = wrong_one_step_repeated


def wrong_loop_that_reads_the_prompt(prompt, table, w_out, *, count):
    """You have a loop, and every turn of it reads the prompt alone: the same row again and again.
    What was written belongs to what is read.
    """
    written = []
    for step in range(count):
        x = table[prompt]
        asks = (len(prompt) - 1 - step) % len(prompt)
        written.append(_next(x, w_out, asks).argmax())
    return torch.stack(written) if written else prompt[:0]


def wrong_last_token_alone(prompt, table, w_out, *, count):
    """You go on from the new token alone and forget what stands before it. All tokens so far are
    attended to: append, do not replace.
    """
    ids, written = prompt, []
    for _ in range(count):
        ids = _next(table[ids], w_out).argmax()[None]
        written.append(ids)
    return torch.cat(written) if written else prompt[:0]


def wrong_first_token_asks(prompt, table, w_out, *, count):
    """You let the first token ask. What comes next depends on where the text stands: the query is
    that of the last token.
    """
    ids = prompt
    for _ in range(count):
        ids = torch.cat([ids, _next(table[ids], w_out, 0).argmax()[None]])
    return ids[len(prompt) :]


def wrong_not_scaled(prompt, table, w_out, *, count):
    """You did not divide the scores by the root of d, so that the weights are too sharp. Divide
    them before the softmax.
    """
    ids = prompt
    for _ in range(count):
        x = table[ids]
        logits = torch.softmax(x @ x[-1], dim=0) @ x @ w_out
        ids = torch.cat([ids, logits.argmax()[None]])
    return ids[len(prompt) :]


def wrong_prompt_returned_too(prompt, table, w_out, *, count):
    """You return the prompt with what was written. Asked for are the new tokens alone: leave out
    the first n.
    """
    return torch.cat([prompt, solution(prompt, table, w_out, count=count)])


def wrong_applied_twice(prompt, table, w_out, *, count):
    """You attend twice: what the first attention puts out asks again. One attention a step: its
    output goes to the vocabulary.
    """
    ids = prompt
    for _ in range(count):
        x = table[ids]
        first = torch.softmax(x @ x[-1] / math.sqrt(x.shape[-1]), dim=0) @ x
        second = torch.softmax(x @ first / math.sqrt(x.shape[-1]), dim=0) @ x
        ids = torch.cat([ids, (second @ w_out).argmax()[None]])
    return ids[len(prompt) :]


def right_by_a_list(prompt, table, w_out, *, count):
    """a list of tokens that grows, each taken by a loop over the keys"""
    ids = prompt.tolist()
    for _ in range(count):
        x = table[torch.tensor(ids)]
        raised = torch.stack([(key @ x[-1] / math.sqrt(len(key))) for key in x])
        weights = (raised - raised.max()).exp()
        logits = (weights[:, None] * x).sum(dim=0) / weights.sum() @ w_out
        ids.append(int(logits.argmax()))
    return torch.tensor(ids[len(prompt) :], dtype=torch.int64)


def right_by_a_cache(prompt, table, w_out, *, count):
    """vectors that are kept, and one more for each new token"""
    kept, written = table[prompt], prompt[:0]
    for _ in range(count):
        token = _next(kept, w_out).argmax()[None]
        kept, written = torch.cat([kept, table[token]]), torch.cat([written, token])
    return written
