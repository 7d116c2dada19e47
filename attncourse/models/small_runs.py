"""Trainings of a few seconds: a writer and a reader of letters, topics of sentences, digits."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.masks import padding_mask
from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.digits import digits
from attncourse.models.encoder import Encoder, EncoderConfig
from attncourse.models.letters import ALPHABET, windows
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretraining import masking_rule, next_token_loss
from attncourse.models.vision_transformer import VisionTransformer, VisionTransformerConfig

V = len(ALPHABET)
MASK = V  # a sign beside the alphabet
WRITTEN, READ = 64, 24  # letters of a piece
FEW = 50  # sentences that a topic is learned from


def train_writer(told: Tensor, steps: int, *, seed: int) -> Iterator[tuple[int, Decoder]]:
    """Train a decoder of two layers on the next letter; gives it before each step, and at the end.

    24 pieces of 64 letters a step, width 64, 4 heads; AdamW, up to a rate of 0.005 and down again.
    """
    generator = Generator().manual_seed(seed)
    config = DecoderConfig(vocabulary=V, length=WRITTEN, d=64, h=4, d_ff=256, layers=2)
    model = Decoder(config, generator=generator)
    step_on = _stepper(model, 0.005, steps, decay=0.1)
    for step in range(steps):
        yield step, model
        pieces = windows(told, 24, WRITTEN, generator)
        step_on(next_token_loss(model(pieces), pieces))
    yield steps, model


@torch.no_grad()
def writer_loss(model: Decoder, held: Tensor) -> float:
    """The loss in nats a letter, over pieces of 64 letters that follow each other."""
    pieces = held[: len(held) // WRITTEN * WRITTEN].view(-1, WRITTEN)
    return next_token_loss(model(pieces), pieces).item()


def train_reader(told: Tensor, steps: int, *, seed: int, hidden: float = 0.8) -> Encoder:
    """Train an encoder of two layers on letters that were hidden; 32 pieces of 24 letters a step.

    hidden is the share of those asked for that is hidden: 0.8 is BERT's rule, with 1 all are.
    """
    generator = Generator().manual_seed(seed)
    config = EncoderConfig(vocabulary=V + 1, length=READ, d=64, h=4, d_ff=256, layers=2)
    model = Encoder(config, generator=generator)
    step_on = _stepper(model, 0.001, steps, decay=0.01)
    for _ in range(steps):
        pieces = windows(told, 32, READ, generator)
        chance, fate = (torch.rand(pieces.shape, generator=generator) for _ in range(2))
        others = torch.randint(V, pieces.shape, generator=generator)
        fate = fate if hidden < 1 else torch.zeros_like(fate)
        shown, asked = masking_rule(pieces, chance, fate, others, mask_id=MASK)
        logits = model.token_logits(model(shown))
        step_on(functional.cross_entropy(logits[asked], pieces[asked]))
    return model


@torch.no_grad()
def reader_scores(model: Encoder, held: Tensor) -> dict[str, float]:
    """What a reader knows of held-out pieces: of hidden letters loss and share guessed; of visible
    ones the share that it would leave, and of exchanged ones the share that it would correct.
    """
    generator = Generator().manual_seed(9)
    pieces = held[: len(held) // READ * READ].view(-1, READ).repeat(4, 1)
    chance = torch.rand(pieces.shape, generator=generator)
    asked = chance < 0.05
    logits = model.token_logits(model(pieces.masked_fill(asked, MASK)))
    loss = functional.cross_entropy(logits[asked], pieces[asked]).item()
    guessed = (logits.argmax(dim=-1) == pieces)[asked].float().mean().item()
    others = torch.randint(V, pieces.shape, generator=generator)
    wrong = asked & (others != pieces)
    mended = model.token_logits(model(others.where(wrong, pieces))).argmax(dim=-1) == pieces
    kept = model.token_logits(model(pieces)).argmax(dim=-1) == pieces
    found = {"loss": loss, "guessed": guessed, "kept": kept.float().mean().item()}
    found["corrected"] = mended[wrong].float().mean().item()
    return {name: round(value, 3) for name, value in found.items()}


@cache
def topics() -> tuple[list[str], Tensor, list[str]]:
    """160 sentences, the number of the topic of each (160,), and the names of the four topics."""
    text = Path(__file__).with_name("topics.txt").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines()]
    names = sorted({name for name, _ in lines})
    labels = torch.tensor([names.index(name) for name, _ in lines])
    return [sentence for _, sentence in lines], labels, names


def fifty(seed: int) -> tuple[Tensor, Tensor]:
    """Which sentences are learned from, and which are asked: 50 and 110, drawn at random."""
    order = torch.randperm(len(topics()[0]), generator=Generator().manual_seed(seed))
    return order[:FEW], order[FEW:]


@cache
def sentence_features() -> dict[str, Tensor]:
    """Each sentence as vectors (160, width): its bag of words, and means of MiniLM's tokens.

    "table" is before the first layer, without positions; "layer 1" to "layer 6" are behind one.
    """
    tokens, mask = _numbered()
    model, states = MiniLM.load(), list[Tensor]()
    model.hidden(tokens, mask=mask, states=states)
    table = model.tensors["embeddings.word_embeddings.weight"]
    real = mask[:, 0, :, None].float()
    bag = torch.zeros(len(tokens), len(table))
    bag.scatter_(1, tokens, 1.0)
    every = {"table": table[tokens]} | {f"layer {i}": x for i, x in enumerate(states) if i}
    means = {name: (x * real).sum(dim=1) / real.sum(dim=1) for name, x in every.items()}
    return {"bag of words": bag[:, bag.sum(dim=0) > 0]} | means


def ridge_head(x: Tensor, labels: Tensor, asked: Tensor, *, ridge: float = 0.1) -> Tensor:
    """The labels (b,) that a linear head says of `asked` (b, d), by least squares on x (n, d).

    Features are taken from their mean and brought to lengths around 1 first; ridge holds the head
    small.
    """
    classes, mean = int(labels.max()) + 1, x.mean(dim=0)
    size = (x - mean).norm(dim=-1).mean()
    x, asked = (x - mean) / size, (asked - mean) / size
    wanted = functional.one_hot(labels, classes).to(x)
    middle = wanted.mean(dim=0)
    inner = x @ x.mT + ridge * torch.eye(len(x))
    return (asked @ x.mT @ torch.linalg.solve(inner, wanted - middle) + middle).argmax(dim=-1)


def topics_from_scratch(seed: int, steps: int = 150) -> float:
    """The share of topics told right by an encoder that has seen fifty sentences alone."""
    (learned, asked), (tokens, mask), labels = fifty(seed), _numbered(), topics()[1]
    _, numbers = torch.unique(tokens, return_inverse=True)  # only words that occur
    generator = Generator().manual_seed(seed)
    config = EncoderConfig(
        vocabulary=int(numbers.max()) + 1, length=numbers.shape[1], d=64, h=4, d_ff=128, layers=2
    )
    model = Encoder(config, generator=generator)
    head = nn.Parameter(0.1 * torch.randn(64, 4, generator=generator))
    both = nn.ModuleList([model])
    both.register_parameter("head", head)
    step_on = _stepper(both, 0.003, steps, decay=0.01)

    def said(rows: Tensor) -> Tensor:
        real = mask[rows, 0, :, None].float()
        hidden = model(numbers[rows], mask=mask[rows]) * real
        return (hidden.sum(dim=1) / real.sum(dim=1)) @ head

    for _ in range(steps):
        step_on(functional.cross_entropy(said(learned), labels[learned]))
    with torch.no_grad():
        return (said(asked).argmax(dim=-1) == labels[asked]).float().mean().item()


def digits_told(name: str, size: int, seed: int, steps: int) -> float:
    """The share of 297 digits told right by a model that was shown `size` others.

    name is "vision transformer" (patches of 2 x 2, two layers of width 32), "convolution" (two of
    3 x 3, a maximum, a head) or "nearest neighbour", which is not trained.
    """
    images, labels = digits()
    order = torch.randperm(len(images), generator=Generator().manual_seed(seed))
    asked, shown = order[:297], order[297 : 297 + size]
    if name == "nearest neighbour":
        apart = torch.cdist(images[asked].flatten(1), images[shown].flatten(1))
        said = labels[shown][apart.argmin(dim=1)]
    else:
        make: dict[str, Callable[[Generator], nn.Module]] = {
            "vision transformer": small_vision_transformer,
            "convolution": small_convolution,
        }
        model = make[name](Generator().manual_seed(seed))
        train_on_digits(model, shown, steps, seed=seed)
        with torch.no_grad():
            said = model(images[asked]).argmax(dim=-1)
    return (said == labels[asked]).float().mean().item()


def train_on_digits(model: nn.Module, shown: Tensor, steps: int, *, seed: int) -> None:
    """Train on 32 of the digits `shown` a step, each drawn anew; AdamW, rate up to 0.003."""
    images, labels = digits()
    step_on = _stepper(model, 0.003, steps, decay=0.05)
    generator = Generator().manual_seed(seed)
    for _ in range(steps):
        drawn = shown[torch.randint(len(shown), (32,), generator=generator)]
        step_on(functional.cross_entropy(model(images[drawn]), labels[drawn]))


def small_vision_transformer(generator: Generator) -> VisionTransformer:
    """Sixteen patches of 2 x 2 pixels, two layers of width 32 with 4 heads."""
    config = VisionTransformerConfig(
        **{"height": 8, "width": 8, "patch": 2, "channels": 1, "classes": 10},
        **{"d": 32, "h": 4, "d_ff": 64, "layers": 2},
    )
    return VisionTransformer(config, generator=generator)


def small_convolution(generator: Generator) -> nn.Module:
    """Two convolutions of 3 x 3 with 16 and 32 channels, a maximum over 2 x 2, a linear head."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10)),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 0
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(drawn * (2 / fan) ** 0.5 if fan else 0 * drawn)
    return model


def _stepper(
    model: nn.Module, rate: float, steps: int, *, decay: float
) -> Callable[[Tensor], None]:
    """A function that takes a loss and makes a step of AdamW; the rate goes up, then down."""
    adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=0.1)

    def step_on(loss: Tensor) -> None:
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        rates.step()

    return step_on


def _numbered() -> tuple[Tensor, Tensor]:
    """The sentences as MiniLM's tokens (160, m), padded, and which are none (160, 1, m)."""
    rows = [MiniLM.load().encode(sentence) for sentence in topics()[0]]
    lengths = torch.tensor([len(row) for row in rows])
    longest = int(lengths.max())
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return tokens, padding_mask(lengths, longest)
