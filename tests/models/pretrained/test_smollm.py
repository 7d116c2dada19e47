"""SmolLM2 wired from the library is Hugging Face's Llama on the same numbers, cached or not."""

import time

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from attncourse.models.generation import generate, kv_cache_generate
from attncourse.models.llama import Llama
from attncourse.models.past import Past
from attncourse.models.pretrained.generation import SYSTEM, NoNumbersError, chat_frame
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.models.pretrained.smollm_parts import parts

FOX = "Tell me a very short story about a fox."
SENTENCE = "The trophy does not fit in the suitcase because it is too big."
THEIRS = {
    "input_layernorm": "norm_1",
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "post_attention_layernorm": "norm_2",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}


@pytest.fixture(scope="module")
def model():
    return SmolLM.load()


@pytest.fixture(scope="module")
def llama():
    """Their model with our numbers."""
    ours, sizes = parts().tensors, parts().sizes
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.h,
        num_key_value_heads=sizes.g,
        rms_norm_eps=sizes.eps,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.base},
        tie_word_embeddings=True,
        attn_implementation="eager",
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.device("meta"):
        made = LlamaForCausalLM(config)
    made.to_empty(device="cpu")
    made.model.rotary_emb = type(made.model.rotary_emb)(config)
    named = {"model.embed_tokens": ours["table"], "model.norm": ours["norm"]}
    for layer in range(sizes.layers):
        for theirs, name in THEIRS.items():
            named[f"model.layers.{layer}.{theirs}"] = ours[f"{layer}.{name}"]
    state = {f"{name}.weight": tensor for name, tensor in named.items()}
    state["lm_head.weight"] = ours["table"]
    made.load_state_dict(state, assign=True)
    return made.eval()


@torch.no_grad()
def test_logits_and_hidden_states_are_those_of_llama(model, llama):
    ids = torch.tensor(model.encode(f"{SENTENCE} {FOX}"))
    theirs = llama(ids[None]).logits[0]
    torch.testing.assert_close(model.logits(ids), theirs, rtol=0, atol=1e-3)


@torch.no_grad()
def test_its_numbers_in_our_llama_give_the_same(model):
    ours, ids = Llama.smollm2(), torch.tensor(model.encode(f"{SENTENCE} {FOX}"))
    torch.testing.assert_close(ours(ids), model.logits(ids), rtol=1e-4, atol=1e-4)
    assert ours.tokens.data_ptr() == parts().tensors["table"].data_ptr()
    assert not any(p.requires_grad for p in ours.parameters())
    count = sum(p.numel() for p in ours.parameters())
    assert count == sum(x.numel() for x in parts().tensors.values()) == 134_515_008
    prompt = ids[:8]
    written = kv_cache_generate(ours.step, prompt, 3)
    assert written.tolist() == generate(model.logits, prompt, 3).tolist()


@torch.no_grad()
def test_weights_are_those_of_llama(model, llama):
    ids = model.encode(SENTENCE)
    theirs = llama(torch.tensor([ids]), output_attentions=True).attentions
    ours = model.maps(SENTENCE)
    assert ours.shape == (30, 9, len(ids), len(ids))
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=1e-4)


@torch.no_grad()
def test_greedy_words_are_those_of_llama_with_and_without_a_cache(model, llama):
    ids = torch.tensor([model.encode(chat_frame(FOX))])
    for _ in range(12):
        ids = torch.cat([ids, llama(ids).logits[:, -1:].argmax(dim=-1)], dim=-1)
    theirs = model.decode(ids[0, len(model.encode(chat_frame(FOX))) :].tolist())
    assert theirs.startswith("A fox is a classic example of a domesticated animal")
    assert model.generate(FOX, 12) == theirs
    assert model.generate(FOX, 12, cached=False) == theirs


def test_it_knows_a_capital_and_ends_itself(model):
    assert model.generate("What is the capital of France?", 20) == "The capital of France is Paris."


def test_a_prompt_without_a_frame_is_continued(model):
    assert model.generate("The capital of France is", 1, chat=False) == " Paris"


def test_a_past_gives_the_logits_of_the_whole(model):
    ids = torch.tensor(model.encode(SENTENCE))
    past, pieces = Past(30), []
    for piece in ids.split([5, 1, 9]):
        pieces.append(model.logits(piece, past=past))
    assert past.tokens == 15
    torch.testing.assert_close(torch.cat(pieces), model.logits(ids), rtol=0, atol=1e-3)


def test_a_batch_is_its_rows_and_left_padding_is_hidden(model):
    """Rotary scores depend on distances alone: tokens may stand further to the right."""
    short, long = (torch.tensor(model.encode(text)) for text in ("It is too big.", SENTENCE))
    pad = len(long) - len(short)
    batch = torch.stack([torch.cat([torch.zeros(pad, dtype=torch.int64), short]), long])
    real = torch.arange(len(long)) >= torch.tensor([[pad], [0]])
    mask = real[:, None, :] & torch.ones(15, 15, dtype=torch.bool).tril()
    logits = model.logits(batch, mask=mask)
    torch.testing.assert_close(logits[1], model.logits(long), rtol=0, atol=1e-3)
    torch.testing.assert_close(logits[0, pad:], model.logits(short), rtol=0, atol=1e-3)


def test_the_map_of_the_running_sentence(model):
    words = model.words(SENTENCE)
    assert words[:2] == ["The", "trophy"]
    assert words[7:9] == ["suit", "-case"]
    maps = model.maps(SENTENCE)
    assert not maps.triu(1).any()
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(30, 9, 15))
    assert maps[16, 3, words.index("it"), 1].item() == pytest.approx(0.59, abs=0.01)


def test_the_frame_is_that_of_the_models_own_template(model):
    asked = chat_frame("Hi", system=SYSTEM)
    assert asked == (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert model.encode(asked)[0] == 1
    assert model.encode(chat_frame("Hi")) == model.encode(asked)[21:]


def test_the_next_token_is_chosen_by_whoever_is_asked(model):
    second = model.generate(
        "The capital of France is", 1, chat=False, choose=lambda logits: logits.topk(2).indices[1]
    )
    assert second not in ("", " Paris")


def test_numbers_that_are_none_are_told(model):
    nan = SmolLM.load(softmax=lambda x: x * float("nan"))
    with pytest.raises(NoNumbersError, match=r"the logits after \d+ tokens are not finite \(NaN\)"):
        nan.generate(FOX, 3)


def test_tokens_of_another_vocabulary_are_refused(model):
    with pytest.raises(ValueError, match="tokens must lie between 0 and 49151"):
        model.logits([49152])


def test_loading_again_takes_less_than_a_second(model):
    parts.cache_clear()
    began = time.process_time()
    SmolLM.load()
    assert time.process_time() - began < 1.0
