r"""# Mend the rounds

Queries and keys are the same vectors here, and a token is more like itself than like any other: it
would take nearly all the weight. So in LSH attention a token sees itself *only where it sees
nothing else*. This function builds the mask of who sees whom. With one round of hashing it is
right; with several it is not. Find out for which tokens, and mend it.

In a round, tokens are sorted by bucket, then by position, and cut into chunks of `chunk`. Query i
sees key j

- if both are in one bucket, and j is in the chunk of i or in the one before;
- in any of the rounds; with `causal=True` only if j is not later than i;
- and not itself, unless there is nobody else in all of the rounds.

- `qk` is (..., n, d), `rotations` is (p, d, r), one matrix a round; the result is a Boolean
  (..., n, n) tensor, True where a query *may attend*. Vectors are hashed as in your `lsh_buckets`.
"""

import torch

from attncourse.mechanisms.content.lsh import lsh_mask as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 15
hints = (
    "Take two rounds, and a token that is alone in its bucket in the first and in company in the "
    "second. What does its row say about itself?",
    "Whether a token is alone is known after the last round. So collect who is seen through all "
    "rounds without the diagonal; then look for empty rows, once.",
)
forbidden = ("lsh_mask",)


def check_one_round(student):
    """one round: the same bucket, the same chunk or the one before"""
    for n, r, chunk in ((23, 2, 4), (12, 3, 3), (9, 1, 5)):
        qk, rotations = gaussian(n, 4, seed=10), gaussian(1, 4, r, seed=11)
        assert_same(student(qk, rotations, chunk=chunk), solution(qk, rotations, chunk=chunk))


def check_several_rounds(student):
    """several rounds: seen in any of them, and itself only where there is nobody in all of them"""
    for n, p, r, chunk in ((23, 3, 4, 4), (12, 2, 5, 3), (9, 4, 3, 5)):
        qk, rotations = gaussian(n, 4, seed=20), gaussian(p, 4, r, seed=21)
        assert_same(student(qk, rotations, chunk=chunk), solution(qk, rotations, chunk=chunk))


def check_is_causal_on_request(student):
    """causal, nobody sees a later token, and the first one sees itself"""
    for n, p, r, chunk in ((23, 3, 4, 4), (12, 2, 5, 3), (12, 1, 2, 4)):
        qk, rotations = gaussian(n, 4, seed=30), gaussian(p, 4, r, seed=31)
        ours = student(qk, rotations, chunk=chunk, causal=True)
        assert_same(ours, solution(qk, rotations, chunk=chunk, causal=True))


def check_no_row_is_empty(student):
    """everybody sees somebody; a token with company does not see itself"""
    qk, rotations = gaussian(23, 4, seed=40), gaussian(3, 4, 6, seed=41)
    for causal in (False, True):
        ours = student(qk, rotations, chunk=4, causal=causal)
        seen = ours.sum(dim=-1)
        assert_that(bool((seen > 0).all()), "each row has at least one True.")
        itself = ours.diagonal()
        assert_that(
            bool((seen[itself] == 1).all()),
            "a token that sees itself sees nobody else, in none of the rounds.",
        )


def check_sorts_by_position_within_a_bucket(student):
    """one large bucket is cut into chunks in the order of the positions"""
    qk = torch.ones(11, 3, dtype=torch.float64) * torch.arange(1.0, 12.0)[:, None].double()
    for chunk in (2, 3, 20):
        ours = student(qk, gaussian(2, 3, 4, seed=50), chunk=chunk, causal=True)
        assert_same(ours, solution(qk, gaussian(2, 3, 4, seed=50), chunk=chunk, causal=True))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, and for one token"""
    for shape in ((2, 3, 9, 4), (1, 7, 4), (4, 1, 4), (1, 4)):
        qk, rotations = gaussian(*shape, seed=60), gaussian(2, 4, 3, seed=61)
        assert_same(student(qk, rotations, chunk=3), solution(qk, rotations, chunk=3))


def check_takes_float32(student):
    """float32 vectors are hashed too, and no gradient goes through the choice"""
    qk, rotations = gaussian(9, 4, seed=70).float(), gaussian(3, 4, 3, seed=71).float()
    assert_same(student(qk, rotations, chunk=3), solution(qk, rotations, chunk=3))
    for found in gradients(student, qk, rotations, chunk=3):
        assert_that(not found.any(), "who sees whom carries no gradient.")


def wrong_alone_in_one_round(qk, rotations, *, chunk, causal=False):
    """You let a token see itself where it is alone in one round, even if it has company in another.
    Decide that once, after the last round.
    """
    n = qk.shape[-2]
    diagonal = torch.eye(n, dtype=torch.bool)
    result = torch.zeros(*qk.shape[:-1], n, dtype=torch.bool)
    for matrix in rotations:
        products = qk @ matrix
        number = torch.cat([products, -products], dim=-1).argmax(dim=-1)  # of the bucket
        order = number.argsort(dim=-1, stable=True)
        chunks = order.argsort(dim=-1) // chunk
        behind = chunks[..., :, None] - chunks[..., None, :]
        meets = number[..., :, None] == number[..., None, :]
        meets = meets & (behind >= 0) & (behind <= 1) & ~diagonal
        if causal:
            meets = meets.tril()
        alone = ~meets.any(dim=-1, keepdim=True)
        result = result | meets | (diagonal & alone)
    return result


stub = wrong_alone_in_one_round


def _rounds(qk, rotations, chunk, meets, *, order=None):
    """Who meets whom in each round; meets(same, back) says so."""
    found = []
    for rotation in rotations:
        rotated = qk @ rotation
        bucket = torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)
        ordered = bucket.argsort(dim=-1, stable=True) if order is None else order(bucket)
        place = ordered.argsort(dim=-1)
        back = (place // chunk)[..., :, None] - (place // chunk)[..., None, :]
        found.append(meets(bucket[..., :, None] == bucket[..., None, :], back))
    return torch.stack(found)


def _near(same, back):
    return same & (back >= 0) & (back <= 1)


def _finished(seen, causal):
    """Without itself, unless there is nobody else."""
    itself = torch.eye(seen.shape[-1], dtype=torch.bool)
    others = (seen.tril() if causal else seen) & ~itself
    return others | (itself & ~others.any(dim=-1, keepdim=True))


def wrong_itself_always(qk, rotations, *, chunk, causal=False):
    """You let every token see itself. It would take nearly all the weight: take the diagonal away,
    and put it back in empty rows alone.
    """
    seen = _rounds(qk, rotations, chunk, _near).any(dim=0)
    return seen.tril() if causal else seen


def wrong_itself_never(qk, rotations, *, chunk, causal=False):
    """You took the diagonal away and left rows empty. A token that sees nobody else sees itself."""
    seen = _rounds(qk, rotations, chunk, _near).any(dim=0)
    seen = seen.tril() if causal else seen
    return seen & ~torch.eye(seen.shape[-1], dtype=torch.bool)


def wrong_alone_before_the_future_is_hidden(qk, rotations, *, chunk, causal=False):
    """You looked for lonely tokens before you hid the future. Who has met later tokens alone is
    lonely as well: hide first.
    """
    seen = _finished(_rounds(qk, rotations, chunk, _near).any(dim=0), False)
    return seen.tril() if causal else seen


def wrong_in_all_rounds(qk, rotations, *, chunk, causal=False):
    """You ask that two tokens meet in all rounds. One meeting is enough: join them by *or*."""
    return _finished(_rounds(qk, rotations, chunk, _near).all(dim=0), causal)


def wrong_last_round_alone(qk, rotations, *, chunk, causal=False):
    """You let each round overwrite the one before, and only the last counts. Join them by *or*."""
    return _finished(_rounds(qk, rotations, chunk, _near)[-1], causal)


def wrong_causal_ignored(qk, rotations, *, chunk, causal=False):
    """You do the same with and without `causal`. With it nobody sees a later token."""
    return _finished(_rounds(qk, rotations, chunk, _near).any(dim=0), False)


def wrong_own_chunk_alone(qk, rotations, *, chunk, causal=False):
    """You show the own chunk alone. A bucket may lie across a border: the chunk before is seen as
    well.
    """
    seen = _rounds(qk, rotations, chunk, lambda same, back: same & (back == 0)).any(dim=0)
    return _finished(seen, causal)


def wrong_chunk_after_too(qk, rotations, *, chunk, causal=False):
    """You show the chunk after as well. Only the own chunk and the one before are looked at."""
    seen = _rounds(qk, rotations, chunk, lambda same, back: same & (back.abs() <= 1)).any(dim=0)
    return _finished(seen, causal)


def wrong_whole_bucket(qk, rotations, *, chunk, causal=False):
    """You show the whole bucket. A large bucket is cut into chunks, and a query sees its own chunk
    and the one before.
    """
    return _finished(_rounds(qk, rotations, chunk, lambda same, back: same).any(dim=0), causal)


def wrong_other_buckets_too(qk, rotations, *, chunk, causal=False):
    """You show whoever is in the chunk, of another bucket too. Both have to be in one bucket."""
    seen = _rounds(qk, rotations, chunk, lambda same, back: (back >= 0) & (back <= 1)).any(dim=0)
    return _finished(seen, causal)


def wrong_not_sorted(qk, rotations, *, chunk, causal=False):
    """You cut the text into chunks as it stands. Sort the tokens by bucket first: a chunk holds
    neighbours of the sorted list.
    """

    def as_it_stands(bucket):
        return torch.arange(bucket.shape[-1]).expand(bucket.shape)

    return _finished(_rounds(qk, rotations, chunk, _near, order=as_it_stands).any(dim=0), causal)


def right_after_the_last_round(qk, rotations, *, chunk, causal=False):
    """collects all rounds, and looks for empty rows once"""
    n = qk.shape[-2]
    itself = torch.eye(n, dtype=torch.bool)
    seen = torch.zeros(*qk.shape[:-1], n, dtype=torch.bool)
    for rotation in rotations:
        rotated = qk @ rotation
        bucket = torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)
        place = bucket.argsort(dim=-1, stable=True).argsort(dim=-1)
        back = (place // chunk)[..., :, None] - (place // chunk)[..., None, :]
        same = bucket[..., :, None] == bucket[..., None, :]
        seen = seen | (same & (back >= 0) & (back <= 1))
    others = (seen.tril() if causal else seen) & ~itself
    return others | (itself & ~others.any(dim=-1, keepdim=True))


def right_all_rounds_at_once(qk, rotations, *, chunk, causal=False):
    """the rounds stacked, then joined"""
    return _finished(_rounds(qk, rotations, chunk, _near).any(dim=0), causal)


shown = right_after_the_last_round
