"""What PyTorch computes in one call is refused by whatever way, and put back; its parts are not."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._decomp import decomposition_table, get_decompositions
from torch.ao.nn import quantizable

from attncourse.course.forbidden import ForbiddenError, refused

SOFTMAX = ("softmax", "log_softmax", "softmin")
ATTENTION = ("scaled_dot_product_attention", "MultiheadAttention")
COSINE = ("cosine_similarity",)

ATEN = torch.ops.aten
X = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Q = torch.randn(1, 1, 4, 8, generator=torch.Generator().manual_seed(1))
IDENTITY = (1, 1, *[torch.zeros(1, dtype=torch.int32)] * 8, 128, 128, lambda b, h, i, j: i >= 0)


def own_layer(kind):
    """Attention by a layer whose projections change nothing."""
    layer = kind(8, 1, bias=False)
    return layer(Q[0].transpose(0, 1), Q[0].transpose(0, 1), Q[0].transpose(0, 1))


def by_the_operator_of_higher_order():
    hop = torch.ops.higher_order.flex_attention
    return hop(Q, Q, Q, lambda s, *at: s, IDENTITY, 1.0, {})


WAYS = {
    "softmax": (SOFTMAX, lambda: torch.softmax(X, -1)),
    "the decomposition": (
        SOFTMAX,
        lambda: get_decompositions([ATEN._softmax.default])[ATEN._softmax.default](X, -1, False),
    ),
    "the table": (SOFTMAX, lambda: decomposition_table[ATEN._log_softmax.default](X, -1, False)),
    "the safe one": (SOFTMAX, lambda: decomposition_table[ATEN._safe_softmax.default](X, -1)),
    "the reference": (SOFTMAX, lambda: torch._refs.softmax(X, -1)),
    "a method": (SOFTMAX, lambda: X.log_softmax(-1)),
    "a layer": (SOFTMAX, lambda: nn.Softmin(-1)(X)),
    "cross-entropy": (SOFTMAX, lambda: F.cross_entropy(X, torch.tensor([0, 1, 2]))),
    "gumbel": (SOFTMAX, lambda: F.gumbel_softmax(X)),
    "sparse": (SOFTMAX, lambda: torch.sparse.softmax(X.to_sparse(), -1)),
    "masked": (SOFTMAX, lambda: torch.masked.softmax(X, -1)),
    "Categorical": (SOFTMAX, lambda: torch.distributions.Categorical(logits=X).logits),
    "OneHotCategorical": (SOFTMAX, lambda: torch.distributions.OneHotCategorical(logits=X).logits),
    "SoftmaxTransform": (SOFTMAX, lambda: torch.distributions.SoftmaxTransform()(X)),
    "attention for softmax": (SOFTMAX, lambda: F.scaled_dot_product_attention(Q, Q, Q)),
    "attention": (ATTENTION, lambda: F.scaled_dot_product_attention(Q, Q, Q)),
    "attention of a kernel": (
        ATTENTION,
        lambda: ATEN._scaled_dot_product_flash_attention_for_cpu(Q, Q, Q),
    ),
    "flex_attention": (ATTENTION, by_the_operator_of_higher_order),
    "a layer of attention": (ATTENTION, lambda: own_layer(nn.MultiheadAttention)),
    "a layer that can be quantised": (ATTENTION, lambda: own_layer(quantizable.MultiheadAttention)),
    "an encoder": (ATTENTION, lambda: nn.TransformerEncoderLayer(8, 1)(Q[0])),
    "cosines": (COSINE, lambda: F.cosine_similarity(X, X)),
    "a layer of cosines": (COSINE, lambda: nn.CosineSimilarity()(X, X)),
    "a loss of cosines": (COSINE, lambda: F.cosine_embedding_loss(X, X, torch.ones(3))),
    "its layer": (COSINE, lambda: nn.CosineEmbeddingLoss()(X, X, torch.ones(3))),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_what_is_forbidden_is_refused_and_then_put_back(way):
    names, call = WAYS[way]
    with refused(names), pytest.raises(ForbiddenError, match="is not allowed"):
        call()
    call()


ALLOWED = {
    "logsumexp": (SOFTMAX, lambda: (X - X.logsumexp(-1, keepdim=True)).exp()),
    "exp and sum": (SOFTMAX, lambda: X.exp() / X.exp().sum(-1, keepdim=True)),
    "exp, normalised": (SOFTMAX, lambda: F.normalize(X.exp(), p=1, dim=-1)),
    "sigmoid": (SOFTMAX, lambda: X.sigmoid()),
    "softplus": (SOFTMAX, lambda: F.softplus(X)),
    "another distribution": (SOFTMAX, lambda: torch.distributions.Normal(0.0, 1.0).sample()),
    "a softmax in attention": (ATTENTION, lambda: (Q @ Q.mT).softmax(-1) @ Q),
    "einsum": (ATTENTION, lambda: torch.einsum("...nd,...md->...nm", Q, Q)),
    "normalize": (COSINE, lambda: F.normalize(X, dim=-1) @ F.normalize(X, dim=-1).mT),
    "cdist": (COSINE, lambda: torch.cdist(X, X)),
}


@pytest.mark.parametrize("way", ALLOWED)
def test_what_it_is_built_of_is_not(way):
    names, call = ALLOWED[way]
    expected = call()
    with refused(names):
        if expected.numel() > 1:
            assert torch.equal(call(), expected)
        else:
            call()


def test_a_learner_is_told_what_he_used():
    with refused(SOFTMAX), pytest.raises(ForbiddenError, match="Categorical is not allowed"):
        WAYS["Categorical"][1]()
    with refused(ATTENTION), pytest.raises(ForbiddenError, match="flex_attention is not allowed"):
        by_the_operator_of_higher_order()


def test_who_kept_a_function_calls_a_refusal():
    """In a process of its own: it is for good."""
    program = """
import torch
from torch._decomp import decomposition_table as table
from attncourse.course.forbidden import refuse_for_good
kept = table[torch.ops.aten._softmax.default]
wrapped = kept.__wrapped__ if hasattr(kept, "__wrapped__") else kept
refuse_for_good(("softmax",))
for f in (kept, wrapped, torch.nn.functional.softmax):
    try:
        print("computed", f(torch.ones(2, 2), -1, False))
    except RuntimeError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    sentence = "this exercise asks you to write it yourself: softmax is not allowed"
    assert told.stdout.splitlines() == [sentence] * 3, told.stderr
