r"""# A sampler

Draw the next token. The logits a become probabilities, at a temperature; then two filters may cut
off what is unlikely:

$$p_i = \frac{e^{a_i / \tau}}{\sum_j e^{a_j / \tau}} .$$

- `logits` is (..., V); the result is int64 (...), one token for each row, each row drawn alone.
- `temperature`, tau, is positive. First the division, then the filters.
- `top_k`: the k likeliest tokens are kept. `top_p`: of what is kept so far, and sums to one again,
  the fewest likeliest tokens whose probabilities together reach `top_p`, at least one. The token
  that brings the sum there is among them. None leaves a filter out.
- What is kept is drawn in proportion to its probabilities.
- `generator` is the only source of chance. Every way to draw is right that has these probabilities:
  how many numbers it takes from the generator is your affair. One state gives one result.
- ValueError unless temperature > 0, top_k >= 1 and 0 < top_p <= 1.
"""

import math

import torch

from attncourse.measure.small_models import refusal
from attncourse.models.generation import sample as solution
from attncourse.testing import assert_same, assert_that, drawn, gaussian, gradients

difficulty, minutes = 3, 25
hints = (
    "Sort the probabilities downwards and write their running sum below them. For top_p = 0.7, "
    "up to which place do you keep? Look at the sum *before* each token.",
    "What is drawn from the sorted row is a place in it. `order.gather(-1, place)` says which "
    "token stands there. `torch.multinomial` takes rows, (rows, V), of weights that need not sum"
    " to one.",
)
forbidden = ("sample", "kept_probabilities")

DRAWS = 4000
PLAIN = {"temperature": 1.0, "top_k": None, "top_p": None}
FIVE = (0.4, 0.25, 0.2, 0.1, 0.05)
ORDERS = ((3, 0, 4, 1, 2), (1, 4, 2, 0, 3))  # where the likeliest stands, the second, ...


def check_draws_in_proportion(student):
    """without filters the frequencies are the probabilities, at three temperatures"""
    for temperature, order in ((1.0, ORDERS[0]), (0.5, ORDERS[1]), (2.0, ORDERS[0])):
        _assert_frequencies(student, order, temperature=temperature)


def check_keeps_the_likeliest_k(student):
    """top_k keeps k tokens, all of them and no other, in proportion"""
    for top_k, order in ((2, ORDERS[0]), (3, ORDERS[1]), (1, ORDERS[0]), (9, ORDERS[1])):
        _assert_frequencies(student, order, top_k=top_k)


def check_keeps_the_fewest_that_reach_p(student):
    """top_p keeps the token that brings the sum to p, and none after it"""
    for top_p, order in ((0.5, ORDERS[0]), (0.3, ORDERS[1]), (0.8, ORDERS[0]), (1.0, ORDERS[1])):
        _assert_frequencies(student, order, top_p=top_p)


def check_filters_one_after_the_other(student):
    """temperature first, then top_k, then top_p of what is left"""
    for options in (
        {"temperature": 2.0, "top_p": 0.55},
        {"temperature": 0.5, "top_k": 4, "top_p": 0.75},
        {"top_k": 2, "top_p": 0.6},
        {"top_k": 3, "top_p": 0.8},
    ):
        _assert_frequencies(student, ORDERS[0], **options)


def check_is_sure_where_one_is_left(student):
    """one token left is always drawn: top_k = 1, a small top_p, a temperature near 0, far logits"""
    logits = gaussian(3, 7, seed=40)
    best = logits.argmax(dim=-1)
    sure = ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-9})
    for options in sure:
        found = _drawn(student, logits, 41, **options)
        assert_same(found, best, f"the tokens for {_told(options)}")
    far = 1e4 * torch.nn.functional.one_hot(torch.tensor([2, 0, 5]), 7).double()
    assert_same(_drawn(student, far - 5e3, 42), torch.tensor([2, 0, 5]), "the tokens of far logits")


def check_takes_leading_axes(student):
    """one row, any axes in front, those of length one; each row is drawn alone"""
    for shape in ((7,), (3, 5), (1, 11), (2, 1, 5)):
        logits = gaussian(*shape, seed=50)
        best = logits.argmax(dim=-1)
        assert_same(_drawn(student, logits, 51, top_k=1), best, f"the tokens of {shape}")
    same = torch.tensor(FIVE, dtype=torch.float64).log().expand(500, 5)
    counts = _drawn(student, same.clone(), 52).bincount(minlength=5)
    assert_that(counts.max() < 400, "each row must be drawn by itself: nearly all rows agree.")


def check_follows_the_generator(student):
    """the same generator gives the same tokens, another one others"""
    logits = gaussian(200, 7, std=1.0, seed=60)
    one, again, other = (_drawn(student, logits, seed) for seed in (61, 61, 62))
    assert_that(torch.equal(one, again), "the same generator must give the same tokens.")
    assert_that(not torch.equal(one, other), "another generator must give other tokens.")


def check_gives_tokens(student):
    """int64 tokens without a gradient, from float32 logits too; errors for impossible filters"""
    logits = gaussian(40, 5, seed=70)
    assert_same(_drawn(student, logits.float(), 71, top_k=1), logits.argmax(dim=-1))
    for found in gradients(student, logits, **PLAIN):
        assert_that(not found.any(), "a draw carries no gradient.")
    for options in (
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
    ):
        kind = refusal(student, logits, **(PLAIN | options))
        assert_that(
            kind == "ValueError",
            f"{_told(options)} must raise ValueError: got {kind or 'no error'}.",
        )


def _drawn(student, logits, seed, **options):
    return drawn(student, logits, seed=seed, **(PLAIN | options))


def _told(options):
    return ", ".join(f"{name}={value:g}" for name, value in options.items())


def _assert_frequencies(student, order, **options):
    """4,000 draws from five probabilities, and what is known to go wrong."""
    probabilities = torch.zeros(5, dtype=torch.float64)
    probabilities[list(order)] = torch.tensor(FIVE, dtype=torch.float64)
    rows = probabilities.log().expand(DRAWS, 5).clone()
    tokens = _drawn(student, rows, 10 + order[0], **options)
    inside = tokens.shape == (DRAWS,) and bool(((tokens >= 0) & (tokens < 5)).all())
    assert_that(inside, "the result must be one token from 0 to V - 1 for each row.")
    found = tokens.bincount(minlength=5) / DRAWS
    expected = _expected(probabilities, **(PLAIN | options))
    if _near(found, expected):
        return
    shares = ", ".join(f"{x:.2f}" for x in found.tolist())
    wanted = ", ".join(f"{x:.2f}" for x in expected.tolist())
    assert_that(
        False,
        f"with {_told(options)} the five tokens must come with the frequencies {wanted}: in "
        f"{DRAWS} draws they came with {shares}.",
    )


def _near(found, expected):
    """Within six standard errors, and nothing where there must be nothing."""
    room = 6 * (expected * (1 - expected) / DRAWS).sqrt()
    return bool(((found - expected).abs() <= room).all())


def _expected(probabilities, *, temperature, top_k, top_p):
    """The probabilities that are drawn from, token by token."""
    powers = [p.item() ** (1 / temperature) for p in probabilities]
    ranked = sorted(range(5), key=lambda i: -powers[i])[:top_k]
    total, reached, kept = sum(powers[i] for i in ranked), 0.0, []
    for i in ranked:
        if top_p is None or reached < top_p - 1e-9:
            kept.append(i)
        reached += powers[i] / total
    share = sum(powers[i] for i in kept)
    return torch.tensor([powers[i] / share if i in kept else 0.0 for i in range(5)])


def _refused(temperature, top_k, top_p):
    if not temperature > 0 or (top_k is not None and top_k < 1):
        raise ValueError("temperature must be positive and top_k at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("top_p must be above 0 and at most 1")


def _multinomial(weights, generator):
    rows = weights.reshape(-1, weights.shape[-1])
    return torch.multinomial(rows, 1, generator=generator).reshape(weights.shape[:-1])


def _kept(logits, temperature, top_k, top_p, *, reached=None, by_p_first=False, order_too=False):
    """The weights that are drawn from; `reached` says what top_p leaves out of a sorted row."""
    _refused(temperature, top_k, top_p)
    gaps = (logits - logits.amax(dim=-1, keepdim=True)) / temperature
    weights, order = gaps.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)

    def by_k(weights):
        places = torch.arange(weights.shape[-1])
        weights = weights.masked_fill(places >= (top_k or len(places)), 0)
        return weights / weights.sum(dim=-1, keepdim=True)

    def by_p(weights):
        if top_p is None:
            return weights
        out = (reached or _before)(weights, top_p)
        return weights.masked_fill(out, 0)

    weights = by_k(by_p(weights)) if by_p_first else by_p(by_k(weights))
    return (weights, order) if order_too else torch.zeros_like(weights).scatter(-1, order, weights)


def _before(weights, top_p):
    """What stands behind the token that brings the sum to p."""
    return weights.cumsum(dim=-1) - weights >= top_p - 1e-9


def wrong_place_for_token(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You draw from the sorted row and return the place in it. Place 0 is the likeliest token, and
    not token 0: look up which token stands at that place.
    """
    weights, _ = _kept(logits, temperature, top_k, top_p, order_too=True)
    return _multinomial(weights, generator)


def wrong_likeliest(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You take the likeliest token each time. That is greedy decoding: draw, in proportion to the
    probabilities.
    """
    return _kept(logits, temperature, top_k, top_p).argmax(dim=-1)


def wrong_all_alike(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You draw from what is kept as if all of it were equally likely. Draw in proportion to the
    probabilities.
    """
    weights = _kept(logits, temperature, top_k, top_p)
    return _multinomial((weights > 0).to(weights.dtype), generator)


def wrong_temperature_multiplied(
    logits, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    """You multiply the logits by the temperature, so that a high one makes the model surer. Divide
    by it.
    """
    _refused(temperature, top_k, top_p)
    return _multinomial(_kept(logits, 1 / temperature, top_k, top_p), generator)


def wrong_temperature_ignored(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You look at the temperature and leave the logits as they are. Divide them by it before
    anything else.
    """
    _refused(temperature, top_k, top_p)
    return _multinomial(_kept(logits, 1.0, top_k, top_p), generator)


def wrong_temperature_after_the_filters(
    logits, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    """You filter first and apply the temperature to what is left. It comes first: what top_p keeps
    depends on it.
    """
    _refused(temperature, top_k, top_p)
    kept = _kept(logits, 1.0, top_k, top_p) > 0
    weights = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)
    return _multinomial(weights.masked_fill(~kept, 0), generator)


def wrong_token_that_reaches_p_left_out(
    logits, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    """You leave out the token that brings the sum to top_p, so that too little is kept. Look at the
    sum before a token: it is kept while that is below top_p.
    """

    def reached(weights, top_p):
        out = weights.cumsum(dim=-1) > top_p + 1e-9
        out[..., 0] = False
        return out

    return _multinomial(_kept(logits, temperature, top_k, top_p, reached=reached), generator)


def wrong_one_more_than_p(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You keep one token behind the one that reaches top_p. Those before it are enough: shift the
    running sum by one place, not by two.
    """

    def reached(weights, top_p):
        out = _before(weights, top_p)
        return torch.cat([torch.zeros_like(out[..., :1]), out[..., :-1]], dim=-1)

    return _multinomial(_kept(logits, temperature, top_k, top_p, reached=reached), generator)


def wrong_p_as_a_floor(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You keep the tokens that have the probability 1 - top_p each. top_p is about their sum: add
    them up from the likeliest down.
    """

    def reached(weights, top_p):
        out = weights < 1 - top_p
        out[..., 0] = False
        return out

    return _multinomial(_kept(logits, temperature, top_k, top_p, reached=reached), generator)


def wrong_not_renormalised_between(
    logits, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    """You measure top_p on the probabilities of all tokens, those that top_k threw away among them.
    Let what is left sum to one again first.
    """
    _refused(temperature, top_k, top_p)
    whole = _kept(logits, temperature, None, top_p)
    by_k = _kept(logits, temperature, top_k, None)
    return _multinomial(by_k.masked_fill(whole == 0, 0), generator)


def wrong_one_too_many_by_k(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You keep k + 1 tokens. Compare with the k-th largest, which is at place k - 1."""
    more = None if top_k is None or top_k < 1 else top_k + 1
    _refused(temperature, top_k, top_p)
    return _multinomial(_kept(logits, temperature, more, top_p), generator)


def wrong_same_draw_for_all(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You draw one number and use it for all rows, so that equal rows get equal tokens. Each row is
    drawn alone.
    """
    sums = _kept(logits, temperature, top_k, top_p).cumsum(dim=-1)
    u = torch.rand((), generator=generator, dtype=sums.dtype)
    return (sums < u * sums[..., -1:]).sum(dim=-1)


def wrong_own_chance(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """You leave the generator aside and draw from PyTorch's global one, so that nobody can repeat
    it. Pass `generator=generator` on.
    """
    return _multinomial(_kept(logits, temperature, top_k, top_p), None)


def right_by_sorting(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """the sorted row cut twice, and the token looked up behind the draw"""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive: got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1: got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1: got {top_p}")
    logits = logits - logits.amax(dim=-1, keepdim=True)
    logits, order = (logits / temperature).sort(dim=-1, descending=True)
    weights = torch.softmax(logits[..., :top_k], dim=-1)
    if top_p is not None:
        before = weights.cumsum(dim=-1) - weights
        weights = weights.masked_fill(before >= top_p, 0.0)
    rows = weights.reshape(-1, weights.shape[-1])
    place = torch.multinomial(rows, 1, generator=generator)
    place = place.reshape(*order.shape[:-1], 1)
    return order.gather(-1, place).squeeze(-1)


def right_by_the_running_sum(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """one uniform number a row, and the first running sum that is above it"""
    weights = _kept(logits, temperature, top_k, top_p)
    sums = weights.cumsum(dim=-1)
    u = torch.rand((*logits.shape[:-1], 1), generator=generator, dtype=sums.dtype) * sums[..., -1:]
    return (sums <= u).sum(dim=-1).clamp(max=logits.shape[-1] - 1)


def right_by_gumbel_noise(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """the largest of the log-probabilities with Gumbel noise"""
    weights = _kept(logits, temperature, top_k, top_p)
    u = torch.rand(weights.shape, generator=generator, dtype=torch.float64)
    noise = -(-u.clamp(min=1e-300).log()).log()
    return (weights.double().log() + noise).argmax(dim=-1)


shown = right_by_sorting
