"""Sequences that are no sentences: what one plays next, a strand that folds, a lag that changes."""

import torch
from torch import Generator, Tensor
from torch.nn import functional

from attncourse.mechanisms.dense.softmax import softmax
from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.pretraining import next_token_loss
from attncourse.models.senses.training import fit, share

SERIES, PARTS, SEEN, AT_ONCE = 8, 4, 12, 3  # lists, songs of each, songs of a history


def histories(count: int, generator: Generator) -> Tensor:
    """What `count` people played (count, 12): three of eight lists of four songs, at once.

    Song 4 s + p is number p of list s. Everybody begins each list somewhere, goes on with any of
    the three, and begins a list again when it is over.
    """
    chosen = torch.rand(count, SERIES, generator=generator).argsort(dim=-1)[:, :AT_ONCE]
    turn = torch.randint(AT_ONCE, (count, SEEN), generator=generator)
    begun = torch.randint(PARTS, (count, AT_ONCE), generator=generator)
    before = functional.one_hot(turn, AT_ONCE).cumsum(dim=1) - 1
    part = (begun[:, None] + before).gather(2, turn[..., None])[..., 0] % PARTS
    return chosen.gather(1, turn) * PARTS + part


def train_recommender(steps: int, *, seed: int) -> Decoder:
    """A decoder of two layers on the next song of 64 new histories a step."""
    config = DecoderConfig(vocabulary=SERIES * PARTS, length=SEEN, d=32, h=2, d_ff=64, layers=2)
    model = Decoder(config, generator=Generator().manual_seed(seed))

    def loss(generator: Generator) -> Tensor:
        items = histories(64, generator)
        return next_token_loss(model(items), items)

    fit(model, loss, steps, rate=0.01, seed=seed)
    return model


@torch.no_grad()
def recommended(kind: Decoder | str, seed: int, count: int = 1000) -> float:
    """How often the last song of a history is among three that are proposed.

    Tables are counted over 20,000 histories: "most played"; "last song", what followed it; "last
    three songs", that table added up for three; "all songs", what was played any time after a song,
    added up for all.
    """
    asked = histories(count, Generator().manual_seed(1000 + seed))
    known, wanted = asked[:, :-1], asked[:, -1:]
    if isinstance(kind, Decoder):
        scores = kind(known)[:, -1]
    else:
        told = histories(20_000, Generator().manual_seed(2000 + seed))
        scores = _counted(kind, told, known)
    return share((scores.topk(3, dim=-1).indices == wanted).any(dim=-1))


def _counted(kind: str, told: Tensor, known: Tensor) -> Tensor:
    size = SERIES * PARTS
    if kind == "most played":
        return torch.bincount(told.flatten(), minlength=size).expand(len(known), -1)
    table = torch.zeros(size * size)
    for gap in range(1, SEEN if kind == "all songs" else 2):
        pairs = told[:, :-gap] * size + told[:, gap:]
        table += torch.bincount(pairs.flatten(), minlength=size * size)
    used = {"last song": known[:, -1:], "last three songs": known[:, -3:], "all songs": known}
    return table.view(size, size)[used[kind]].sum(dim=1)


BASES = "ACGU"  # A pairs with U, C with G: base i with base 3 - i
STEM = 8


def strands(count: int, m: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Strands (count, m) of four bases, and where the two sides of a stem begin (count,) each.

    Eight bases come back further on, backwards and each as its partner, so that the strand can fold
    on itself. One base of the second side has changed.
    """
    strand = torch.randint(4, (count, m), generator=generator)
    first = torch.randint(m // 2 - STEM, (count,), generator=generator)
    room = m - STEM - (first + STEM + 3) + 1  # three bases at least for the turn
    second = first + STEM + 3 + (torch.rand(count, generator=generator) * room).long()
    inside = torch.arange(STEM)
    side = 3 - strand.gather(1, first[:, None] + inside).flip(-1)
    changed = torch.randint(STEM, (count, 1), generator=generator)
    other = (side.gather(1, changed) + torch.randint(1, 4, (count, 1), generator=generator)) % 4
    strand.scatter_(1, second[:, None] + inside, side.scatter(1, changed, other))
    return strand, first, second


def folding_weights(strand: Tensor) -> Tensor:
    """For each window of eight bases the weights (..., w, w) of windows that it could fold onto.

    The query is the window as its partner would be, backwards; the score is how many bases agree,
    times 3. Windows that overlap, or leave no room for the turn, are hidden. Nothing is trained.
    """
    windows = functional.one_hot(strand, 4).float().unfold(-2, STEM, 1)  # (..., w, 4, 8)
    keys = windows.flatten(-2)
    queries = windows.flip(-2, -1).flatten(-2)
    place = torch.arange(keys.shape[-2])
    free = (place[:, None] - place).abs() >= STEM + 3
    return softmax((3 * queries @ keys.mT).masked_fill(~free, -torch.inf))


def folds_found(strand: Tensor, first: Tensor, second: Tensor) -> tuple[float, float]:
    """The share of stems found: by the largest weight of the first side's window, and by looking up
    the exact partner.
    """
    rows = torch.arange(len(strand))
    weights = folding_weights(strand)[rows, first]
    windows = strand.unfold(-1, STEM, 1)
    partner = (3 - windows[rows, first]).flip(-1)
    exact = (windows == partner[:, None]).all(dim=-1)[rows, second]
    return share(weights.argmax(dim=-1) == second), share(exact)


def followers(count: int, m: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two series (count, m) each, and how far the second is behind the first (count, m).

    The second is the first, some days later, with noise; half way the lag changes. Lags are 3 to
    15. The first is a mean of the last three of random numbers.
    """
    drawn = torch.randn(count, m + 2, generator=generator)
    leader = drawn.unfold(-1, 3, 1).mean(dim=-1) * 3**0.5
    two = 3 + torch.rand(count, 13, generator=generator).argsort(dim=-1)[:, :2]
    lag = two.repeat_interleave(m // 2, dim=-1)
    source = (torch.arange(m) - lag) % m
    noise = 0.5 * torch.randn(count, m, generator=generator)
    return leader, leader.gather(-1, source) + noise, lag


def lag_weights(leader: Tensor, follower: Tensor, *, window: int = 8, longest: int = 18) -> Tensor:
    """Weights (..., m, 19): for each day of the follower, how likely each lag of 0 to 18 days.

    The query is the follower's last `window` days, the keys are windows of the leader, each without
    its mean and with length 1; the scores are cosines times 8. Nothing is trained.
    """
    q, k = (_shape_of(x, window) for x in (follower, leader))
    m = q.shape[-2]
    days = torch.arange(m)[:, None] - torch.arange(longest + 1)
    scores = (q[..., None, :] * k[..., days.clamp(min=0), :]).sum(dim=-1)
    return softmax((8 * scores).masked_fill(days < 0, -torch.inf))


def _shape_of(series: Tensor, window: int) -> Tensor:
    """The last days up to each day (..., m, window), without their mean, of length 1."""
    x = functional.pad(series, (window - 1, 0)).unfold(-1, window, 1)
    return functional.normalize(x - x.mean(dim=-1, keepdim=True), dim=-1)


def one_lag(leader: Tensor, follower: Tensor, *, longest: int = 18) -> Tensor:
    """The lag (...) at which the two series as wholes agree best: cross-correlation."""
    m = leader.shape[-1]
    agree = [
        (leader[..., : m - lag] * follower[..., lag:]).mean(dim=-1) for lag in range(longest + 1)
    ]
    return torch.stack(agree, dim=-1).argmax(dim=-1)
