r"""# A loop that writes

Let a language model write. It takes tokens x to one row of logits for each of them, and the last
row is for the token that comes next:

$$x_{t+1} = \arg\max_i \; \mathrm{model}(x_1, \dots, x_t)_{t,\, i} .$$

- `model` takes an int64 tensor (t,) to logits (t, V). It is causal. `prompt` is int64 (p,), p at
  least 1.
- The result is int64: the prompt, and behind it at most `max_new_tokens` tokens. Where `eos_id` is
  written, it is kept, and is the last. In the prompt it is a token like others.
- Of equal logits the smallest token wins.
- The model is asked once for each new token, and not for more.
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
from attncourse.measure.small_models import refusal_with_model, tokens_read, with_model
from attncourse.models.generation import generate as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 2, 15
hints = (
    "Write the loop for one new token first: which row of the logits, which entry of that row? "
    "Then say what the model has to read in the next round.",
    "`torch.cat` wants tensors: a single token becomes one of shape (1,). Look for the end after"
    " the token was put behind the others.",
)
forbidden = ("generate", "kv_cache_generate")

RUNS = ((SIZES, 4, 6, 100), (SIZES, 1, 9, 110), (OTHER_SIZES, 7, 5, 120))  # sizes, p, new, seed


def check_counts_on(student):
    """a model that counts, by hand: 1 is followed by 2, 2 by 3"""
    assert_counts_on(student, "whole")


def check_reads_the_whole_text(student):
    """what is written depends on every token before it, for prompts of any length"""
    for sizes, p, new, seed in RUNS:
        tables = recurrent("whole", sizes=sizes, seed=seed)
        start = drawn_prompt(p, sizes=sizes, seed=seed)
        expected = with_model(solution, tables, start, new)
        assert_same(with_model(student, tables, start, new), expected)


def check_stops_at_the_end(student):
    """the end is written, and nothing after it; token 0 may be the end as well"""
    for sizes, p, new, seed in RUNS:
        tables = recurrent("whole", sizes=sizes, seed=seed + 50)
        start = drawn_prompt(p, sizes=sizes, seed=seed + 50)
        end = with_model(solution, tables, start, new)[p + 2].item()
        expected = with_model(solution, tables, start, new, end)
        assert_same(with_model(student, tables, start, new, end), expected)
    count = bigrams("whole", [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert_same(with_model(student, count, prompt(1), 8, 0), prompt(1, 2, 0))


def check_an_end_in_the_prompt_ends_nothing(student):
    """what stands in the prompt is read, not obeyed"""
    assert_prompt_ends_nothing(student, "whole")


def check_writes_nothing_where_nothing_is_asked(student):
    """with no new token the result is the prompt"""
    tables = recurrent("whole", seed=200)
    for p in (1, 3):
        start = drawn_prompt(p, seed=200 + p)
        assert_same(with_model(student, tables, start, 0), start)


def check_takes_the_smallest_of_equals(student):
    """of equal logits the smallest token wins"""
    equal = bigrams("whole", [[1, 2, 2, 0], [2, 1, 0, 2], [0, 1, 3, 3], [1, 1, 1, 1]])
    for start, expected in ((0, (0, 1, 0)), (3, (3, 0, 1)), (2, (2, 2, 2))):
        assert_same(with_model(student, equal, prompt(start), 2), prompt(*expected))


def check_asks_once_for_each_token(student):
    """the model reads p tokens, then p + 1, and is not asked after the end"""
    tables, start = recurrent("whole", seed=300), drawn_prompt(4, seed=300)
    text = with_model(student, tables, start, 5)
    assert_same(text, with_model(solution, tables, start, 5))
    assert_read(tokens_read(student, tables, start, 5), [4, 5, 6, 7, 8])
    end = text[5].item()
    ended = tokens_read(student, tables, start, 7, end)
    assert_read(ended, tokens_read(solution, tables, start, 7, end))


def check_refuses_what_it_cannot_continue(student):
    """errors for a prompt of the wrong kind or shape, and for a negative number"""
    tables, start = recurrent("whole", seed=400), drawn_prompt(3, seed=400)
    assert_same(with_model(student, tables, start, 1), with_model(solution, tables, start, 1))
    for bad, new, kind, what in (
        (start.double(), 2, "TypeError", "a prompt of float64 numbers"),
        (start.int(), 2, "TypeError", "a prompt of int32 numbers"),
        (start[:0], 2, "ValueError", "an empty prompt"),
        (start[:0], 0, "ValueError", "an empty prompt with nothing to write"),
        (start[None], 2, "ValueError", "a prompt with two axes"),
        (start, -1, "ValueError", "max_new_tokens = -1"),
    ):
        found = refusal_with_model(student, tables, bad, new)
        assert_that(found == kind, f"{what} must raise {kind}: got {found or 'no error'}.")


def _checked_prompt(start, new):
    if not isinstance(start, torch.Tensor) or start.dtype != torch.int64:
        raise TypeError("a prompt is an int64 tensor")
    if start.ndim != 1 or len(start) == 0 or new < 0:
        raise ValueError("a prompt has one axis and at least one token")
    return start


def _written(prompt, new, eos_id, choose):
    """The loop, with the token that is chosen for the text so far."""
    tokens = _checked_prompt(prompt, new)
    for _ in range(new):
        token = choose(tokens)
        tokens = torch.cat([tokens, token.reshape(1)])
        if token == eos_id:
            break
    return tokens


def wrong_last_token_alone(model, prompt, max_new_tokens, eos_id=None):
    """You give the model the last token alone, and it forgets the rest. Without a cache it has to
    read the whole text in every round.
    """
    return _written(prompt, max_new_tokens, eos_id, lambda x: model(x[-1:])[-1].argmax())


def wrong_first_row(model, prompt, max_new_tokens, eos_id=None):
    """You take the first row of the logits, which predicts the second token, again and again. The
    next token's logits are in the last row.
    """
    return _written(prompt, max_new_tokens, eos_id, lambda x: model(x)[0].argmax())


def wrong_one_row_early(model, prompt, max_new_tokens, eos_id=None):
    """You take the row before the last, and predict a token that is there already. Row t is for
    token t + 1: take the last one.
    """
    return _written(prompt, max_new_tokens, eos_id, lambda x: model(x)[-2:][0].argmax())


def wrong_smallest_logit(model, prompt, max_new_tokens, eos_id=None):
    """You take the smallest logit. The likeliest token has the largest: `argmax`."""
    return _written(prompt, max_new_tokens, eos_id, lambda x: model(x)[-1].argmin())


def wrong_window_of_three(model, prompt, max_new_tokens, eos_id=None):
    """You cut the text to its last three tokens, which nobody asked for. Give the model all of them
    until its own limit is reached.
    """
    return _written(prompt, max_new_tokens, eos_id, lambda x: model(x[-3:])[-1].argmax())


def wrong_last_of_equals(model, prompt, max_new_tokens, eos_id=None):
    """Of equal logits you take the last, as sorting in ascending order does. The smallest token is
    to win: `argmax` on one row gives it.
    """
    return _written(
        prompt, max_new_tokens, eos_id, lambda x: len(r := model(x)[-1]) - 1 - r.flip(0).argmax()
    )


def wrong_prompt_ignored(model, prompt, max_new_tokens, eos_id=None):
    """You let the model begin with a token of your own: whatever the prompt says, it writes the
    same. The text starts as the prompt.
    """
    tokens = _written(prompt * 0, max_new_tokens, eos_id, lambda x: model(x)[-1].argmax())
    return torch.cat([prompt, tokens[len(prompt) :]])


def wrong_same_row_again(model, prompt, max_new_tokens, eos_id=None):
    """You ask the model once and write the same token again and again. Each round has to read the
    token that was written before.
    """
    _checked_prompt(prompt, max_new_tokens)
    token = model(prompt)[-1].argmax()
    return _written(prompt, max_new_tokens, eos_id, lambda x: token)


def wrong_one_for_each_row(model, prompt, max_new_tokens, eos_id=None):
    """You write one token for each token of the prompt, the likeliest of every row at once. How
    many are written is a parameter, and only the last row is about the next one.
    """
    _checked_prompt(prompt, max_new_tokens)
    return torch.cat([prompt, model(prompt).argmax(dim=-1)])


def wrong_last_token_replaced(model, prompt, max_new_tokens, eos_id=None):
    """You put the new token in place of the last one, so that the text does not grow. Put it behind
    the others.
    """
    tokens = _checked_prompt(prompt, max_new_tokens)
    for _ in range(max_new_tokens):
        token = model(tokens)[-1].argmax()
        tokens = torch.cat([tokens[:-1], token[None]])
        if token == eos_id:
            break
    return tokens


def wrong_end_ignored(model, prompt, max_new_tokens, eos_id=None):
    """You write on after the end. When the token is `eos_id`, leave the loop."""
    return _written(prompt, max_new_tokens, None, lambda x: model(x)[-1].argmax())


def wrong_end_left_out(model, prompt, max_new_tokens, eos_id=None):
    """You stop before you put the end down. Whoever reads the result wants to see that it ended:
    keep `eos_id` as the last token.
    """
    tokens = _written(prompt, max_new_tokens, eos_id, lambda x: model(x)[-1].argmax())
    ended = len(tokens) > len(prompt) and tokens[-1] == eos_id
    return tokens[:-1] if ended else tokens


def wrong_zero_is_no_end(model, prompt, max_new_tokens, eos_id=None):
    """You ask `if eos_id`, and token 0 counts as no end at all. Compare with None, or compare the
    token at once.
    """
    return _written(prompt, max_new_tokens, eos_id or None, lambda x: model(x)[-1].argmax())


def wrong_end_in_the_prompt_obeyed(model, prompt, max_new_tokens, eos_id=None):
    """You look for the end in the whole text, and a prompt that holds it is never continued. Only a
    new token can end the answer.
    """
    tokens = _checked_prompt(prompt, max_new_tokens)
    for _ in range(max_new_tokens):
        if eos_id is not None and (tokens == eos_id).any():
            break
        tokens = torch.cat([tokens, model(tokens)[-1].argmax()[None]])
    return tokens


def wrong_prompt_not_returned(model, prompt, max_new_tokens, eos_id=None):
    """You return the new tokens alone. The result is the prompt with them behind it."""
    return _written(prompt, max_new_tokens, eos_id, lambda x: model(x)[-1].argmax())[len(prompt) :]


def wrong_one_too_many(model, prompt, max_new_tokens, eos_id=None):
    """You write one token more than was asked for: the loop begins with one that it does not count.
    Count every new token.
    """
    return _written(prompt, max_new_tokens + 1, eos_id, lambda x: model(x)[-1].argmax())


def wrong_length_for_new(model, prompt, max_new_tokens, eos_id=None):
    """You stop when the whole text has `max_new_tokens` tokens. The prompt does not count: only the
    new ones do.
    """
    _checked_prompt(prompt, max_new_tokens)
    new = max(0, max_new_tokens - len(prompt))
    return _written(prompt, new, eos_id, lambda x: model(x)[-1].argmax())


def wrong_one_question_too_many(model, prompt, max_new_tokens, eos_id=None):
    """You ask the model once more when all is written, and throw the answer away. One question a
    token: look for the end before you ask again.
    """
    tokens = _written(prompt, max_new_tokens, eos_id, lambda x: model(x)[-1].argmax())
    model(tokens)
    return tokens


def right_by_the_loop(model, prompt, max_new_tokens, eos_id=None):
    """one token after the other, put behind the text"""
    if not isinstance(prompt, torch.Tensor) or prompt.dtype != torch.int64:
        raise TypeError("prompt must be an int64 tensor of tokens")
    if prompt.ndim != 1 or len(prompt) == 0:
        raise ValueError("prompt must have one axis and at least one token")
    if max_new_tokens < 0:
        raise ValueError("max_new_tokens must not be negative")
    tokens = prompt.clone()
    for _ in range(max_new_tokens):
        token = model(tokens)[-1].argmax()
        tokens = torch.cat([tokens, token[None]])
        if token == eos_id:
            break
    return tokens


def right_by_a_list(model, prompt, max_new_tokens, eos_id=None):
    """a list of numbers, made a tensor for each question"""
    tokens = _checked_prompt(prompt, max_new_tokens).tolist()
    for _ in range(max_new_tokens):
        tokens.append(int(torch.argmax(model(torch.tensor(tokens))[-1])))
        if tokens[-1] == eos_id:
            break
    return torch.tensor(tokens)


def right_into_a_buffer(model, prompt, max_new_tokens, eos_id=None):
    """room for all tokens, of which the model reads the filled part"""
    filled = len(_checked_prompt(prompt, max_new_tokens))
    room = torch.cat([prompt, prompt.new_zeros(max_new_tokens)])
    for _ in range(max_new_tokens):
        room[filled] = model(room[:filled])[-1].softmax(dim=-1).argmax()
        filled += 1
        if eos_id is not None and room[filled - 1] == eos_id:
            break
    return room[:filled].clone()


def right_by_recursion(model, prompt, max_new_tokens, eos_id=None):
    """one token, then the rest of the way"""
    if _checked_prompt(prompt, max_new_tokens) is not None and max_new_tokens == 0:
        return prompt.clone()
    token = model(prompt)[-1].argmax()
    longer = torch.cat([prompt, token.unsqueeze(0)])
    if token == eos_id:
        return longer
    return right_by_recursion(model, longer, max_new_tokens - 1, eos_id)


shown = right_by_the_loop
