r"""# A loop that reads each token once

The same text as before, from a model that keeps the past. `step` takes new tokens and what is
kept, and gives their logits and what is kept from now on:

$$(\mathrm{logits}, \mathrm{past}') = \mathrm{step}(x_{t+1}, \dots, x_{t+n}, \; \mathrm{past}) .$$

- `step(tokens, past)`: tokens int64 (t,), the past is None at first; logits (t, V), a row for each
  of the new tokens. What the past is made of is the model's affair: hand it on as it came.
- The prompt, int64 (p,), p at least 1, goes in at once; after it each new token alone. The token
  that was written last is not read.
- The result is int64: the prompt and at most `max_new_tokens` likeliest tokens, `eos_id` included
  where it is written. The same tokens as without a cache.
- TypeError for a prompt that is no int64 tensor; ValueError for an empty one, for one with more
  than one axis, and for a negative `max_new_tokens`.
"""

import torch

from attncourse.exercises.interview_coding._inputs import (
    OTHER_SIZES,
    SIZES,
    assert_counts_on,
    assert_prompt_ends_nothing,
    assert_read,
    bigrams,
    drawn_prompt,
    prompt,
    recurrent,
)
from attncourse.exercises.interview_coding.generate import _checked_prompt
from attncourse.measure.small_models import refusal_with_model, tokens_read, with_model
from attncourse.models.generation import generate
from attncourse.models.generation import kv_cache_generate as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 3, 20
hints = (
    "Two variables: all tokens, and those that the model has not read yet. What is in each of them "
    "before the first round, and what before the second?",
    "`logits, past = step(new, past)` in every round. Then `new` is the one token that was chosen, "
    "with an axis: shape (1,).",
)
forbidden = ("generate", "kv_cache_generate")

RUNS = ((SIZES, 4, 6, 500), (SIZES, 1, 9, 510), (OTHER_SIZES, 7, 5, 520))  # sizes, p, new, seed


def check_counts_on(student):
    """a model that counts, by hand: 1 is followed by 2, 2 by 3"""
    assert_counts_on(student, "steps")


def check_writes_as_without_a_cache(student):
    """the tokens are those of the loop that reads all anew"""
    for sizes, p, new, seed in RUNS:
        tables = recurrent("steps", sizes=sizes, seed=seed)
        start = drawn_prompt(p, sizes=sizes, seed=seed)
        expected = with_model(generate, {**tables, "kind": "whole"}, start, new)
        assert_same(with_model(student, tables, start, new), expected)


def check_reads_each_token_once(student):
    """the prompt at once, then one token in each round; the last one is not read"""
    for p, new in ((4, 5), (1, 3), (6, 1)):
        tables, start = recurrent("steps", seed=600), drawn_prompt(p, seed=600)
        assert_same(
            with_model(student, tables, start, new), with_model(solution, tables, start, new)
        )
        assert_read(tokens_read(student, tables, start, new), [p] + [1] * (new - 1))


def check_stops_at_the_end(student):
    """the end is written, and nothing is read after it; token 0 may be the end as well"""
    for sizes, p, new, seed in RUNS:
        tables = recurrent("steps", sizes=sizes, seed=seed + 50)
        start = drawn_prompt(p, sizes=sizes, seed=seed + 50)
        end = with_model(solution, tables, start, new)[p + 2].item()
        expected = with_model(solution, tables, start, new, end)
        assert_same(with_model(student, tables, start, new, end), expected)
        read = tokens_read(student, tables, start, new, end)
        assert_read(read, [p] + [1] * (len(expected) - p - 1))
    count = bigrams("steps", [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert_same(with_model(student, count, prompt(1), 8, 0), prompt(1, 2, 0))


def check_an_end_in_the_prompt_ends_nothing(student):
    """what stands in the prompt is read, not obeyed"""
    assert_prompt_ends_nothing(student, "steps")


def check_reads_nothing_where_nothing_is_asked(student):
    """with no new token the result is the prompt, and the model is not asked"""
    tables = recurrent("steps", seed=700)
    for p in (1, 3):
        start = drawn_prompt(p, seed=700 + p)
        assert_same(with_model(student, tables, start, 0), start)
        assert_read(tokens_read(student, tables, start, 0), [])


def check_refuses_what_it_cannot_continue(student):
    """errors for a prompt of the wrong kind or shape, and for a negative number"""
    tables, start = recurrent("steps", seed=800), drawn_prompt(3, seed=800)
    assert_same(with_model(student, tables, start, 2), with_model(solution, tables, start, 2))
    for bad, new, kind, what in (
        (start.double(), 2, "TypeError", "a prompt of float64 numbers"),
        (start[:0], 2, "ValueError", "an empty prompt"),
        (start[:0], 0, "ValueError", "an empty prompt with nothing to write"),
        (start[None], 2, "ValueError", "a prompt with two axes"),
        (start, -1, "ValueError", "max_new_tokens = -1"),
    ):
        found = refusal_with_model(student, tables, bad, new)
        assert_that(found == kind, f"{what} must raise {kind}: got {found or 'no error'}.")


def _steps(step, prompt, new, eos_id, read=lambda tokens, new: new, kept=lambda before, past: past):
    """The loop with a cache; `read` says what the next call reads, `kept` what it is handed."""
    tokens = unread = _checked_prompt(prompt, new)
    past = None
    for _ in range(new):
        logits, grown = step(unread, past)
        past = kept(past, grown)
        token = logits[-1].argmax()[None]
        tokens = torch.cat([tokens, token])
        unread = read(tokens, token)
        if token == eos_id:
            break
    return tokens


def wrong_all_read_again(step, prompt, max_new_tokens, eos_id=None):
    """You give the model the whole text in each round, on top of a past that holds it already. It
    reads everything twice and more: only the new token goes in.
    """
    return _steps(step, prompt, max_new_tokens, eos_id, read=lambda tokens, new: tokens)


def wrong_past_thrown_away(step, prompt, max_new_tokens, eos_id=None):
    """You pass None as the past in each round, so that the new token stands alone. Hand on what the
    last call gave back.
    """
    return _steps(step, prompt, max_new_tokens, eos_id, kept=lambda before, past: None)


def wrong_past_of_the_prompt(step, prompt, max_new_tokens, eos_id=None):
    """You keep the past of the first call, and no later token enters it. Take the past that each
    call gives back.
    """
    return _steps(step, prompt, max_new_tokens, eos_id, kept=lambda before, past: before or past)


def wrong_no_cache_at_all(step, prompt, max_new_tokens, eos_id=None):
    """You read the whole text in each round with no past. The words are right, and the cache saves
    nothing: after the prompt give one token, and the past.
    """
    return _steps(
        step,
        prompt,
        max_new_tokens,
        eos_id,
        read=lambda tokens, new: tokens,
        kept=lambda before, past: None,
    )


def wrong_last_two_read(step, prompt, max_new_tokens, eos_id=None):
    """You give the model the last two tokens, of which the past has one already. It stands there
    twice then, and every position after it is one off: give the new token alone.
    """
    return _steps(step, prompt, max_new_tokens, eos_id, read=lambda tokens, new: tokens[-2:])


def wrong_end_of_the_prompt_alone(step, prompt, max_new_tokens, eos_id=None):
    """You give the model the last token of the prompt and not what stands before it. Nothing is in
    the past yet: the first call reads the whole prompt.
    """
    _checked_prompt(prompt, max_new_tokens)
    tokens = _steps(step, prompt[-1:], max_new_tokens, eos_id)
    return torch.cat([prompt[:-1], tokens])


def wrong_prompt_token_by_token(step, prompt, max_new_tokens, eos_id=None):
    """You feed the prompt one token at a time. The words are right, and the model is asked p times
    where once will do: it takes several tokens in one call.
    """
    tokens = _checked_prompt(prompt, max_new_tokens)
    past, logits = None, None
    for token in tokens if max_new_tokens else []:
        logits, past = step(token[None], past)
    for i in range(max_new_tokens):
        tokens = torch.cat([tokens, logits[-1].argmax()[None]])
        if tokens[-1] == eos_id or i == max_new_tokens - 1:
            break
        logits, past = step(tokens[-1:], past)
    return tokens


def wrong_last_one_read_too(step, prompt, max_new_tokens, eos_id=None):
    """You read the token that was written last, though nobody asks what follows it. One call for
    each new token, the prompt's included: look whether you are done before you call.
    """
    tokens, unread, past = _checked_prompt(prompt, max_new_tokens), prompt, None
    for _ in range(max_new_tokens):
        logits, past = step(unread, past)
        unread = logits[-1].argmax()[None]
        tokens = torch.cat([tokens, unread])
        if unread == eos_id:
            break
    step(unread, past)
    return tokens


def wrong_first_row(step, prompt, max_new_tokens, eos_id=None):
    """You take the first row of the logits, which after the prompt is about its second token. The
    last row is for the token that comes next.
    """
    return _steps(
        lambda x, past: (lambda out: (out[0][:1], out[1]))(step(x, past)),
        prompt,
        max_new_tokens,
        eos_id,
    )


def wrong_end_ignored(step, prompt, max_new_tokens, eos_id=None):
    """You write on after the end. When the token is `eos_id`, leave the loop."""
    return _steps(step, prompt, max_new_tokens, None)


def wrong_zero_is_no_end(step, prompt, max_new_tokens, eos_id=None):
    """You ask `if eos_id`, and token 0 counts as no end at all. Compare with None, or compare the
    token at once.
    """
    return _steps(step, prompt, max_new_tokens, eos_id or None)


def wrong_prompt_not_returned(step, prompt, max_new_tokens, eos_id=None):
    """You return the new tokens alone. The result is the prompt with them behind it."""
    return _steps(step, prompt, max_new_tokens, eos_id)[len(prompt) :]


def right_by_new_tokens(step, prompt, max_new_tokens, eos_id=None):
    """all tokens, and those that are not read yet"""
    if not isinstance(prompt, torch.Tensor) or prompt.dtype != torch.int64:
        raise TypeError("prompt must be an int64 tensor of tokens")
    if prompt.ndim != 1 or len(prompt) == 0:
        raise ValueError("prompt must have one axis and at least one token")
    if max_new_tokens < 0:
        raise ValueError("max_new_tokens must not be negative")
    tokens = prompt.clone()
    new = tokens
    past = None
    for _ in range(max_new_tokens):
        logits, past = step(new, past)
        new = logits[-1].argmax()[None]
        tokens = torch.cat([tokens, new])
        if new == eos_id:
            break
    return tokens


def right_by_prefill_and_decode(step, prompt, max_new_tokens, eos_id=None):
    """the prompt before the loop, as servers call it: prefill, then decoding"""
    found = _checked_prompt(prompt, max_new_tokens).tolist()
    if max_new_tokens == 0:
        return torch.tensor(found)
    logits, past = step(torch.tensor(found), None)
    found.append(logits[-1].argmax().item())
    for _ in range(max_new_tokens - 1):
        if found[-1] == eos_id:
            break
        logits, past = step(torch.tensor(found[-1:]), past)
        found.append(logits[0].argmax().item())
    return torch.tensor(found)


def right_by_counting_what_was_read(step, prompt, max_new_tokens, eos_id=None):
    """how many tokens the past holds; what lies behind is given"""
    tokens, past, read = _checked_prompt(prompt, max_new_tokens), None, 0
    for _ in range(max_new_tokens):
        logits, past = step(tokens[read:].clone(), past)
        read = len(tokens)
        tokens = torch.cat([tokens, logits[-1:].argmax(dim=-1)])
        if eos_id is not None and int(tokens[-1]) == eos_id:
            return tokens
    return tokens


shown = right_by_new_tokens
