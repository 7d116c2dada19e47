r"""# A beam

Look for the continuation with the largest probability. All of them are too many, the likeliest
token each time is too few: keep the `width` best beginnings, and let each grow by one token. The
score of new tokens y is the sum

$$\ln p(y) = \sum_i \ln \mathrm{softmax}\big(\mathrm{step}(x, y_1, \dots, y_{i-1})\big)_{y_i} .$$

- `step` takes tokens, int64 (t,), to the logits (V,) of the next one. `start`, x, is int64 (p,), p
  at least 1.
- In each of `length` rounds every beginning that is kept grows by each token of the vocabulary, and
  the `width` best of all together are kept.
- One that has ended with `eos_id` grows no more: it stays as it is, with its score, and takes one
  of the places as long as it is among the best. Once all have ended, nothing is left to do.
- The result is the pair `(tokens, score)` of the best: int64, `start` and the new tokens, and a
  tensor () in the dtype of the logits, the sum over the new tokens. It is not divided by anything.
- `step` is asked at most `width` times in a round. ValueError for a `width` or a
  `length` below 1, and for a `start` that is empty or has more than one axis.
"""

import torch

from attncourse.exercises.interview_coding._inputs import (
    OTHER_SIZES,
    SIZES,
    assert_read,
    bigrams,
    drawn_prompt,
    prompt,
    recurrent,
)
from attncourse.measure.small_models import refusal_with_model, tokens_read, with_model
from attncourse.models.generation import beam_search as solution
from attncourse.testing import assert_same, assert_that, gaussian

difficulty, minutes = 4, 35
hints = (
    "What do you have to know of a beginning? Its tokens, its score, whether it has ended. One "
    "round makes a new list of them out of the old one.",
    "A round: an ended one goes into the list of candidates as it is, any other once for each of"
    " its best tokens. Sort the candidates by score, cut the list at `width`.",
)
forbidden = ("beam_search",)

RUNS = ((SIZES, 4, 3, 4, 900), (SIZES, 1, 2, 5, 910), (OTHER_SIZES, 3, 5, 3, 920))


def check_finds_what_greedy_misses(student):
    """by hand: the likeliest first token is not the best beginning, and two may share one"""
    rows = torch.tensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.0, 0.05, 0.95]])
    table = bigrams("next", (rows + 1e-9).log().tolist())
    for width, expected in ((1, (0, 1, 0)), (2, (0, 2, 2)), (3, (0, 2, 2))):
        tokens, _ = _pair(with_model(student, table, prompt(0), width, 2))
        assert_same(tokens, prompt(*expected), f"the tokens for a beam of {width}")
    # after two rounds both of the best begin with 1, and the second of them is the better beginning
    rows = torch.zeros(5, 5)
    rows[0, 1:3] = torch.tensor([0.6, 0.4])
    rows[1] = torch.tensor([0.05, 0.0, 0.0, 0.5, 0.45])
    rows[2, :3] = rows[3, :3] = torch.tensor([0.4, 0.3, 0.3])
    rows[4, 4] = 1
    tokens, _ = _pair(
        with_model(student, bigrams("next", (rows + 1e-9).log().tolist()), prompt(0), 2, 3)
    )
    assert_same(tokens, prompt(0, 1, 4, 4), "the tokens of three rounds")


def check_equals_the_beam_by_definition(student):
    """tokens and score, for several widths, starts and lengths"""
    for sizes, p, width, length, seed in RUNS:
        args = _inputs(sizes, p, seed), width, length
        _assert_found(with_model(student, *_flat(args)), with_model(_by_definition, *_flat(args)))


def check_a_wide_beam_finds_the_best_of_all(student):
    """with as many places as there are texts it finds the likeliest of all"""
    tables = bigrams("next", gaussian(5, 5, seed=930).tolist())
    for length, width in ((2, 25), (3, 125)):
        start = drawn_prompt(1, sizes=(5, 5), seed=930)
        found = with_model(student, tables, start, width, length)
        _assert_found(found, with_model(_best_of_all, tables, start, width, length))


def check_an_ended_one_keeps_its_place(student):
    """what has ended neither grows nor gets lost, and may lose to what goes on"""
    for seed in (941, 942, 943):
        tables, start = _inputs(OTHER_SIZES, 2, seed)
        for end in range(OTHER_SIZES[0]):
            args = tables, start, 3, 4, end
            _assert_found(with_model(student, *args), with_model(_by_definition, *args))


def check_stops_when_all_have_ended(student):
    """a beam that has ended asks no more, and `width` is asked at most in a round"""
    sure = bigrams("next", [[0, 0, 9], [0, 9, 0], [0, 9, 0]])  # 0 -> 2 -> 1, the end
    args = sure, prompt(0), 1, 6, 1
    _assert_found(with_model(student, *args), with_model(_by_definition, *args))
    assert_read(tokens_read(student, *args), [1, 2])
    tables, start = _inputs(SIZES, 3, 950)
    args = tables, start, 3, 4
    _assert_found(with_model(student, *args), with_model(_by_definition, *args))
    asked = len(tokens_read(student, *args))
    assert_that(asked <= 10, f"1 + 3 + 3 + 3 questions are enough for 4 rounds: got {asked}.")


def check_refuses_what_it_cannot_search(student):
    """errors for a width or a length below 1, and a start of the wrong shape"""
    tables, start = _inputs(SIZES, 3, 970)
    found = with_model(student, tables, start, 2, 1)
    _assert_found(found, with_model(_by_definition, tables, start, 2, 1))
    for args, what in (
        ((start, 0, 2), "width = 0"),
        ((start, 2, 0), "length = 0"),
        ((start[:0], 2, 2), "an empty start"),
        ((start[None], 2, 2), "a start with two axes"),
    ):
        kind = refusal_with_model(student, tables, *args)
        assert_that(
            kind == "ValueError", f"{what} must raise ValueError: got {kind or 'no error'}."
        )


def _inputs(sizes, p, seed):
    return recurrent("next", sizes=sizes, seed=seed), drawn_prompt(p, sizes=sizes, seed=seed)


def _flat(args):
    (tables, start), *rest = args
    return tables, start, *rest


def _pair(found):
    whole = isinstance(found, tuple) and len(found) == 2
    assert_that(whole, "the result must be a pair: tokens and score.")
    return found


def _assert_found(actual, expected):
    tokens, score = _pair(actual)
    assert_same(tokens, expected[0], "the text")
    assert_same(score, expected[1], "the score")


def _checked(start, width, length):
    if width < 1 or length < 1 or start.ndim != 1 or len(start) == 0:
        raise ValueError("a beam has a width, a length and a start of one axis")


def _search(step, start, width, length, eos_id, *, log_softmax=True, kept=None, grow=None):
    """The beam, with other rules for what is kept of the candidates and how one grows."""
    _checked(start, width, length)
    beam = [(start.clone(), torch.zeros((), dtype=torch.float64), False)]
    for _ in range(length):
        candidates = []
        for tokens, score, ended in beam:
            if ended:
                candidates.append((tokens, score, ended))
                continue
            found = step(tokens)
            found = found.log_softmax(dim=-1) if log_softmax else found
            for token in range(len(found)):
                after = torch.cat([tokens, torch.tensor([token])])
                more = score + found[token] if grow is None else grow(score, found[token])
                candidates.append((after, more, token == eos_id))
        beam = sorted(candidates, key=lambda one: one[1].item(), reverse=True)
        beam = beam[:width] if kept is None else kept(beam, width)
        if all(one[2] for one in beam):
            break
    return beam[0][:2]


def _by_definition(step, start, width, length, eos_id=None):
    return _search(step, start, width, length, eos_id)


def _best_of_all(step, start, width, length, eos_id=None):
    """Every text of that length."""
    texts = [(start, torch.zeros((), dtype=torch.float64))]
    for _ in range(length):
        grown = []
        for tokens, score in texts:
            found = step(tokens).log_softmax(dim=-1)
            grown += [
                (torch.cat([tokens, torch.tensor([i])]), score + found[i])
                for i in range(len(found))
            ]
        texts = grown
    return max(texts, key=lambda one: one[1].item())


def wrong_greedy(step, start, width, length, eos_id=None):
    """You keep one beginning, the likeliest token each time, whatever `width` says. Keep the
    `width` best of all candidates.
    """
    _checked(start, width, length)
    return _search(step, start, 1, length, eos_id)


def wrong_logits_added(step, start, width, length, eos_id=None):
    """You add up logits. They are no log-probabilities: a row of large ones makes any token look
    likely. Take `log_softmax` first.
    """
    return _search(step, start, width, length, eos_id, log_softmax=False)


def wrong_best_of_each_alone(step, start, width, length, eos_id=None):
    """You let each beginning grow by its own best token, so that after the first round none has two
    children. All candidates compete: the `width` best may come from one beginning.
    """
    _checked(start, width, length)
    beam = [(start.clone(), torch.zeros((), dtype=torch.float64), False)]
    for round_ in range(length):
        grown = []
        for tokens, score, ended in beam:
            if ended:
                grown.append((tokens, score, ended))
                continue
            found = step(tokens).log_softmax(dim=-1)
            best = found.topk(min(len(found), width if round_ == 0 else 1))
            for more, token in zip(best.values, best.indices, strict=True):
                after = torch.cat([tokens, token[None]])
                grown.append((after, score + more, token.item() == eos_id))
        beam = sorted(grown, key=lambda one: one[1].item(), reverse=True)[:width]
        if all(one[2] for one in beam):
            break
    return beam[0][:2]


def wrong_last_step_alone(step, start, width, length, eos_id=None):
    """You rank by the probability of the newest token alone. A text is as likely as all of its
    tokens together: add its log-probability to the score so far.
    """
    return _search(step, start, width, length, eos_id, grow=lambda score, more: more)


def wrong_probabilities_multiplied(step, start, width, length, eos_id=None):
    """You return the probability, a product that is 0 in floating point for a long text. The score
    is the sum of the log-probabilities.
    """
    tokens, score = _search(step, start, width, length, eos_id)
    return tokens, score.exp()


def wrong_worst_kept(step, start, width, length, eos_id=None):
    """You sort upwards and keep the worst. The largest sum comes first: `reverse=True`."""
    return _search(step, start, width, length, eos_id, kept=lambda beam, width: beam[::-1][:width])


def wrong_divided_by_the_length(step, start, width, length, eos_id=None):
    """You divide the score by the number of new tokens. That is a choice, which favours long texts,
    and not asked for here: compare the sums.
    """
    tokens, score = _search(step, start, width, length, eos_id)
    return tokens, score / max(1, len(tokens) - len(start))


def wrong_grown_past_the_end(step, start, width, length, eos_id=None):
    """You let what has ended grow on. Behind `eos_id` nothing follows: put it among the candidates
    as it is.
    """
    return _search(step, start, width, length, None)


def wrong_ended_ones_dropped(step, start, width, length, eos_id=None):
    """You drop what has ended, and the best text may be among it. It stays a candidate, with its
    score.
    """

    def going_on(beam, width):
        on = [one for one in beam if not one[2]][:width]
        return on or beam[:width]

    return _search(step, start, width, length, eos_id, kept=going_on)


def wrong_first_ended_returned(step, start, width, length, eos_id=None):
    """You return the first text that ends. One that goes on may be likelier still: stop when all
    that are kept have ended.
    """
    _checked(start, width, length)
    found = []

    def kept(beam, width):
        beam = beam[:width]
        ended = [one for one in beam if one[2]]
        if ended and not found:
            found.append(ended[0])
        return found[:1] or beam

    return _search(step, start, width, length, eos_id, kept=kept)


def wrong_start_not_returned(step, start, width, length, eos_id=None):
    """You return the new tokens alone. The text is the start with them behind it."""
    tokens, score = _search(step, start, width, length, eos_id)
    return tokens[len(start) :], score


def right_by_sorting_candidates(step, start, width, length, eos_id=None):
    """a list of candidates, sorted and cut in each round"""
    if width < 1 or length < 1:
        raise ValueError("width and length must be at least 1")
    if start.ndim != 1 or len(start) == 0:
        raise ValueError("start must have one axis and at least one token")
    beam = [(start.clone(), torch.zeros(()), False)]  # tokens, score, ended
    for _ in range(length):
        candidates = []
        for tokens, score, ended in beam:
            if ended:
                candidates.append((tokens, score, ended))
                continue
            scores = torch.log_softmax(step(tokens), dim=-1)
            for token in scores.topk(min(width, len(scores))).indices:
                longer = torch.cat([tokens, token[None]])
                candidates.append((longer, score + scores[token], bool(token == eos_id)))
        candidates.sort(key=lambda candidate: candidate[1].item(), reverse=True)
        beam = candidates[:width]
        if all(ended for _, _, ended in beam):
            break
    tokens, score, _ = beam[0]
    return tokens, score


def right_by_one_matrix(step, start, width, length, eos_id=None):
    """the scores of all candidates in one matrix, and `topk` over it"""
    _checked(start, width, length)
    texts, scores, over = [start.clone()], torch.zeros(1, dtype=torch.float64), [False]
    for _ in range(length):
        rows = []
        for text, score, ended in zip(texts, scores, over, strict=True):
            if not ended:
                rows.append(score + step(text).log_softmax(dim=-1))
            else:
                rows.append(None)
        size = next((len(row) for row in rows if row is not None), 0)
        if not size:
            break
        table = torch.full((len(texts), size), -torch.inf, dtype=torch.float64)
        for i, row in enumerate(rows):
            if row is not None:
                table[i] = row
            else:
                table[i, 0] = scores[i]
        best = table.flatten().topk(min(width, int((table > -torch.inf).sum())))
        places = [divmod(int(place), size) for place in best.indices]
        scores = best.values
        texts, over = (
            [texts[i] if over[i] else torch.cat([texts[i], torch.tensor([j])]) for i, j in places],
            [over[i] or j == eos_id for i, j in places],
        )
    return texts[0], scores[0]


def right_with_a_heap(step, start, width, length, eos_id=None):
    """the best of the candidates by `heapq`, the sum kept negative"""
    import heapq

    _checked(start, width, length)
    beam = [(0.0, start.tolist(), False)]
    for _ in range(length):
        if all(ended for *_, ended in beam):
            break
        grown = [one for one in beam if one[2]]
        for cost, text, ended in beam:
            if ended:
                continue
            likely = step(torch.tensor(text)).log_softmax(dim=-1).tolist()
            grown += [(cost - x, [*text, i], i == eos_id) for i, x in enumerate(likely)]
        beam = heapq.nsmallest(width, grown)
    cost, text, _ = beam[0]
    return torch.tensor(text), torch.tensor(-cost, dtype=torch.float64)


shown = right_by_sorting_candidates
