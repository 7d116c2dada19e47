"""Mistakes from public bug reports in SmolLM2: what was written down is found again, in small."""

import math

import pytest
import torch

from attncourse import SmolLM, causal_mask
from attncourse.course.exercise import get
from attncourse.measure.experiment import measured
from attncourse.models.past import Past
from attncourse.models.pretrained.generation import chat_frame
from attncourse.models.pretrained.prose import prose

FIELD = measured("field").results


def written(name, **sockets):
    """The first tokens that the model writes, and what was written down."""
    said = SmolLM.load(**sockets).generate(FIELD["prompt"], 5)
    return said, FIELD["words"][name]


def with_a_mask(stub):
    return lambda q, k, v, *, mask: stub(q, k, v, mask)


def from_first_key(n, m):
    return torch.ones(n, m, dtype=torch.bool).tril()


def test_a_mask_that_is_added_reads_the_future_and_writes_nothing():
    added = with_a_mask(get("fix_mask_dtype").stub)
    again = SmolLM.load(attention=added).perplexity(prose(), tokens=FIELD["tokens"])
    assert FIELD["perplexity"]["mask added"] == pytest.approx(again, rel=0.02)
    said, noted = written("mask added", attention=added)
    assert noted.startswith(said[:6])


def test_the_mended_mask_writes_what_the_right_model_writes():
    mended = with_a_mask(get("fix_mask_dtype").solution)
    said, noted = written("right", attention=mended)
    assert noted.startswith(said)


def test_the_second_chunk_is_lost():
    said, noted = written("mask from the first key", mask=from_first_key)
    assert said == noted[:5] == "P----"
    model, past = SmolLM.load(mask=from_first_key), Past(30)
    ids = model.encode(prose())[: FIELD["tokens"]]
    logits = [model.logits(part, past=past) for part in (ids[:128], ids[128:])]
    likely = torch.cat(logits)[:-1].log_softmax(dim=-1)
    again = math.exp(-likely.gather(-1, torch.tensor(ids[1:])[:, None]).mean())
    assert FIELD["chunks"]["128"] == pytest.approx(again, rel=0.02)


def test_the_models_own_attention_in_chunks_by_the_mended_function():
    mended = get("fix_chunked_prefill").solution
    model = SmolLM.load(attention=lambda q, k, v, *, mask: mended(q, k, v, chunk=5))
    right = SmolLM.load().perplexity(prose(), tokens=32)
    assert model.perplexity(prose(), tokens=32) == pytest.approx(right, rel=1e-4)


@pytest.mark.parametrize(("side", "name"), [("left", "solution"), ("right", "stub")])
def test_the_short_prompt_of_a_batch(side, name):
    model = SmolLM.load()
    rows = [model.encode(prompt) for prompt in FIELD["padded"]]
    ids, keep, _ = getattr(get("fix_padded_batch"), name)(rows, model.sizes.end)
    n = ids.shape[1]
    last = model.logits(ids, mask=causal_mask(n, n) & keep[:, None, :])[:, -1]
    first = [model.decode([token]) for token in last.argmax(dim=-1).tolist()]
    assert all(
        noted.startswith(word) for noted, word in zip(FIELD["padding"][side], first, strict=True)
    )


def test_a_cache_that_was_kept_tells_the_password():
    talk, model, past = FIELD["crop"], SmolLM.load(), Past(30)
    read = model.encode(chat_frame(talk["message"])) + model.encode(talk["reply"])
    model.logits(read[:-1], past=past)  # the last token that is written is not read
    new, said = model.encode(chat_frame(talk["question"])), []
    for _ in range(6):
        said.append(int(model.logits(new, past=past)[-1].argmax()))
        new = said[-1:]
    assert talk["cache kept"].startswith(model.decode(said))
    assert "Swordfish" in talk["cache kept"]
    assert "ordfish" not in talk["cache empty"]


def test_rows_of_this_model_do_not_show_the_converters_mistake():
    exercise, tensors = get("fix_rotary_rows"), SmolLM.load().tensors
    given = tensors["7.q"], tensors["7.k"], 9, 3
    for mine, theirs in zip(exercise.stub(*given), exercise.solution(*given), strict=True):
        assert torch.equal(mine, theirs)


def test_a_fused_projection_of_this_model_comes_apart_again():
    tensors = SmolLM.load().tensors
    groups = [tensors[f"3.{name}"].unflatten(0, (3, -1, 64)) for name in "qkv"]
    fused = torch.cat(groups, dim=1).flatten(0, 2).mT
    x = torch.eye(576)
    found = get("fix_fused_projection").solution(x, fused, 9, 3)
    for made, name in zip(found, "qkv", strict=True):
        expected = tensors[f"3.{name}"].mT.unflatten(-1, (-1, 64)).transpose(0, 1)
        torch.testing.assert_close(made, expected)


def test_the_second_candidate_has_read_the_first():
    searches = FIELD["searches"]
    assert searches["own"]["the trophy"] == searches["shared"]["the trophy"]
    assert searches["own"]["the suitcase"] == searches["shared, turned"]["the suitcase"]
    for order, second in (("shared", "the suitcase"), ("shared, turned", "the trophy")):
        assert searches[order][second] > searches["own"][second] + 1


def test_dropout_in_use_gives_other_answers():
    exercise = get("fix_dropout")
    said = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)

        def attention(q, k, v, *, mask, generator=generator):
            scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
            weights = scores.softmax(dim=-1)
            kept = torch.rand(weights.shape, generator=generator) >= 0.2
            return (weights * kept / 0.8) @ v

        said.append(SmolLM.load(attention=attention).generate(FIELD["prompt"], 4))
    assert said[0] != said[1]
    for answer, noted in zip(said, FIELD["dropout"]["0.2"], strict=False):
        assert noted.startswith(answer[:6])
    q = torch.ones(2, 3)
    assert torch.equal(exercise.solution(q, q, q, 0.2, False), q)
