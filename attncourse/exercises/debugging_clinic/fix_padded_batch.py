r"""# Mend the batch

Prompts of different lengths go into a language model together, so that the short ones are filled up
with a token that means nothing. The next word of each prompt is read off at the **last** column.
One prompt alone gets a good answer, and the longest of a batch does, too. The others get nonsense.
Find out what stands in their last column, and mend it:

$$\mathrm{ids}_{b} = (\underbrace{p, \dots, p}_{m - n_b}, \; t_0, \dots, t_{n_b - 1}), \qquad
\mathrm{position\ of\ } t_i = i .$$

- `prompts` is a list of b lists of tokens, none of them empty; `pad` is the token p to fill up
  with, and m the length of the longest prompt. `pad` may be a word of a prompt as well: many models
  fill up with their end-of-text token.
- The result is the triple `(ids, keep, positions)`, each (b, m): the tokens; True where a token is
  the prompt's own, and *may be attended to*; whole numbers, the place of a token in its prompt.
  What was filled in has the position 0.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attncourse.testing import assert_same, assert_that

difficulty, minutes = 1, 10
hints = (
    "Print the ids of two prompts, one of them shorter. Which token stands in the last column of "
    "its row, where the model is asked for the next word?",
    "All three tensors move together: the tokens to the right end of their rows, the mask with "
    "them, and positions that are counted from the first True.",
)


def padded_batch(
    prompts: list[list[int]], pad: int
) -> tuple[Int[Tensor, "b m"], Bool[Tensor, "b m"], Int[Tensor, "b m"]]:
    """Prompts as rows that end together: (tokens, which are the prompt's own, their places).

    >>> ids, keep, positions = padded_batch([[5, 8], [7]], 0)
    >>> ids.tolist(), keep.tolist(), positions.tolist()
    ([[5, 8], [0, 7]], [[True, True], [False, True]], [[0, 1], [0, 0]])
    """
    m = max(map(len, prompts))
    ids = torch.full((len(prompts), m), pad)
    keep = torch.zeros(len(prompts), m, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, m - len(prompt) :] = torch.tensor(prompt)
        keep[row, m - len(prompt) :] = True
    positions = (keep.cumsum(dim=-1) - 1).clamp(min=0)
    return ids, keep, positions


solution = padded_batch

BATCHES = (
    ([[5, 8, 6], [7], [3, 9, 4, 2]], 0),
    ([[11, 12], [13, 14, 15, 16, 17]], 1),
    ([[21], [22, 23], [24, 25, 26]], 2),
)


def check_rows_end_with_their_prompts(student):
    """the last column holds the last token of each prompt, and each row its prompt in order"""
    for prompts, pad in BATCHES:
        ids, _, _ = student(prompts, pad)
        assert_same(ids, padded_batch(prompts, pad)[0], "the tensor of tokens")


def check_keeps_what_is_the_prompts_own(student):
    """the mask is True for tokens of the prompt, False for what was filled in"""
    for prompts, pad in BATCHES:
        _, keep, _ = student(prompts, pad)
        assert_same(keep, padded_batch(prompts, pad)[1], "the mask")


def check_counts_positions_from_the_first_word(student):
    """the first token of each prompt has position 0, whatever was filled in before it"""
    for prompts, pad in BATCHES:
        _, _, positions = student(prompts, pad)
        assert_same(positions, padded_batch(prompts, pad)[2], "the tensor of positions")


def check_the_filling_may_be_a_word(student):
    """a prompt that contains the filling token keeps it"""
    for prompts, pad in (([[4, 6, 4], [4], [5, 4]], 4), ([[3, 3], [9, 3, 8]], 3)):
        assert_same(student(prompts, pad), padded_batch(prompts, pad))


def check_equal_lengths_need_no_filling(student):
    """prompts of one length, and a prompt alone, stay as they are"""
    for prompts in ([[6, 2, 9], [8, 1, 5]], [[6, 2, 9, 7]]):
        ids, keep, positions = student(prompts, 0)
        assert_same(ids, torch.tensor(prompts), "the tensor of tokens")
        assert_that(keep.all(), "nothing was filled in, so that all of the mask is True.")
        expected = torch.arange(len(prompts[0])).expand(len(prompts), -1)
        assert_same(positions, expected.contiguous(), "the tensor of positions")


def wrong_filled_up_on_the_right(prompts, pad):
    """You fill up on the right, so that the last column of a short prompt holds a token that means
    nothing, and the model goes on from there. Fill up on the left: rows end with their words.
    """
    longest = max(len(prompt) for prompt in prompts)
    rows = [[*prompt, *[pad] * (longest - len(prompt))] for prompt in prompts]
    kept = torch.tensor([[j < len(prompt) for j in range(longest)] for prompt in prompts])
    places = kept.long().cumsum(dim=-1) - 1
    return torch.tensor(rows), kept, places.clamp(min=0)


stub = wrong_filled_up_on_the_right


def wrong_mask_left_behind(prompts, pad):
    """You moved the tokens to the right and left the mask, and the positions, where they were:
    words are hidden and fillings are seen. Move all three together.
    """
    _, keep, positions = wrong_filled_up_on_the_right(prompts, pad)
    return padded_batch(prompts, pad)[0], keep, positions


def wrong_mask_guessed_from_the_tokens(prompts, pad):
    """You hide every token that equals the filling. Where the filling is a word as well, such as
    the end of a text, a prompt loses it: take the mask from the lengths, not from the tokens.
    """
    ids, _, _ = padded_batch(prompts, pad)
    keep = ids != pad
    return ids, keep, (keep.cumsum(dim=-1) - 1).clamp(min=0)


def wrong_positions_of_the_columns(prompts, pad):
    """You number the columns: the first word of a short prompt stands at the position of its
    column. Count from the first token of the prompt, as the model does when it is alone.
    """
    ids, keep, _ = padded_batch(prompts, pad)
    return ids, keep, torch.arange(ids.shape[1]).expand(ids.shape).contiguous()


def wrong_positions_below_zero(prompts, pad):
    """You give the fillings the position -1, which a table of positions reads as its last row. The
    statement asks for 0: cut off what is below it.
    """
    ids, keep, _ = padded_batch(prompts, pad)
    return ids, keep, keep.cumsum(dim=-1) - 1


def wrong_positions_from_one(prompts, pad):
    """You count the first word as 1. The model was trained with a first position of 0: subtract
    one, and leave 0 for the fillings.
    """
    ids, keep, _ = padded_batch(prompts, pad)
    return ids, keep, keep.cumsum(dim=-1)


def wrong_mask_says_what_to_hide(prompts, pad):
    """You return True for the fillings, which is what `nn.MultiheadAttention` calls padding mask.
    Here True means that a token may be attended to: invert it.
    """
    ids, keep, positions = padded_batch(prompts, pad)
    return ids, ~keep, positions


def right_by_lists(prompts, pad):
    """rows as Python lists, made into tensors at the end"""
    m = max(map(len, prompts))
    gaps = [m - len(prompt) for prompt in prompts]
    rows = list(zip(prompts, gaps, strict=True))
    ids = [[pad] * gap + prompt for prompt, gap in rows]
    keep = [[False] * gap + [True] * len(prompt) for prompt, gap in rows]
    positions = [[0] * gap + list(range(len(prompt))) for prompt, gap in rows]
    return torch.tensor(ids), torch.tensor(keep), torch.tensor(positions)


def right_by_comparing_places(prompts, pad):
    """the place of a column, less the number of fillings, is the position"""
    m = max(map(len, prompts))
    gaps = torch.tensor([m - len(prompt) for prompt in prompts])
    places = torch.arange(m) - gaps[:, None]
    ids = torch.full((len(prompts), m), pad)
    ids[places >= 0] = torch.tensor([token for prompt in prompts for token in prompt])
    return ids, places >= 0, places.clamp(min=0)
