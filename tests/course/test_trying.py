"""A learner's function in a model: what is shown beside the right one, and what is said of it."""

import functools
import math
import re
from dataclasses import replace

import nbformat
import pytest
import torch
from click.testing import CliRunner

import attncourse
from attncourse import in_a_model
from attncourse.cli import main
from attncourse.course import trying
from attncourse.course.exercise import all_exercises, get
from attncourse.course.plugs import layers
from attncourse.course.plugs.table import PLUGS, offer, right
from attncourse.course.trial_report import headline, notes
from attncourse.course.trying import Amount, Trial
from attncourse.models.pretrained import packages, smollm
from attncourse.models.pretrained.sockets import WAYS

NOW = (  # exercises that exist
    *("softmax", "attention", "fix_attention"),
    *("causal_mask", "masked_softmax", "masked_attention", "fix_mask_dtype"),
    *("self_attention", "cross_attention", "fix_self_attention"),
    *("split_heads", "merge_heads", "multi_head_attention", "fix_multi_head_attention"),
    *("merge_attention", "blockwise_attention", "fix_blockwise_attention"),
    *("fix_chunked_prefill", "fix_heads_last"),
    *("flash_forward_tile", "fix_flash_tile"),
    *("rotary", "fix_rotary", "layer_norm", "fix_expensive_heads"),
    *("elu_feature_map", "linear_attention"),
    *("causal_linear_attention", "fix_causal_linear_attention"),
    *("positive_features", "performer_attention", "fix_performer_attention"),
    *("sliding_window_mask", "longformer_mask"),
    *("sliding_window_attention", "fix_sliding_window_attention"),
    *("grouped_query_attention", "fix_grouped_query_attention"),
    *("shared_attention", "fuse_memories"),
    *("truncated_svd", "linformer_attention", "nystrom_attention", "fix_nystrom_attention"),
    *("topk_attention", "threshold_attention", "sparsemax"),
    *("decode_step", "quantize_int8", "dequantize", "fix_quantize_int8", "ring_attention"),
    *("fix_local_mask", "fix_batch_axis", "fix_weight_formula"),
    *("generate", "kv_cache_generate", "beam_search", "sample", "fix_sample"),
    *("typical_filter", "fix_repetition_penalty"),
    "choose_mechanism",
    "ablate_heads",
)
FUTURE = "A token sees those after it"
RIGHT_IN_SHORT = functools.cache(trying._right.__wrapped__)


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    """One prompt, few words and little prose, so that a test takes a second."""
    monkeypatch.setattr(trying, "PROMPTS", trying.PROMPTS[:1])
    for name in ("WHOLE", "BRIEF"):
        monkeypatch.setattr(trying, name, Amount(6, 64))
    monkeypatch.setattr(trying, "SLOW", math.inf)  # on a busy machine too


@pytest.fixture
def short(monkeypatch):
    """SmolLM2 without all but its first layers, for tests of every function: does it run?"""
    whole = smollm.parts()
    cut = replace(whole, sizes=replace(whole.sizes, layers=3))
    monkeypatch.setattr(smollm, "parts", lambda: cut)
    monkeypatch.setattr(trying, "_right", RIGHT_IN_SHORT)
    monkeypatch.setattr(trying, "WHOLE", Amount(2, 24))
    monkeypatch.setattr(trying, "BRIEF", Amount(2, 24))
    monkeypatch.setitem(trying.HEADS, "SmolLM", (1, 3))
    monkeypatch.setitem(layers.COPYING, 1, (3, 4))


def no_scale(q, k, v, *, mask=None):
    return attncourse.softmax(q @ k.mT) @ v


def test_a_right_attention_changes_nothing_and_proves_nothing():
    trial = in_a_model(attncourse.attention)
    assert trial.yours.words == trial.right.words
    assert trial.yours.words[0] == "The capital of France is Paris"
    text = repr(trial)
    assert text.startswith("Your attention in SmolLM2: nothing changes.\n")
    assert text.endswith("check(attention) looks closer.")


def test_without_the_scale_the_words_are_soup():
    trial = in_a_model("attention", no_scale)
    assert repr(trial).startswith("Your attention in SmolLM2: it writes other words.\n")
    assert trial.yours.words != trial.right.words
    assert trial.yours.perplexity > 5 * trial.right.perplexity
    assert "proves nothing" not in repr(trial)


def test_the_table_has_the_right_one_and_yours():
    lines = repr(in_a_model("attention", no_scale)).splitlines()
    at = lines.index("Perplexity on 64 tokens of prose")
    assert re.fullmatch(r"    right  1\d\d\.\d", lines[at + 1])
    assert re.fullmatch(r"    yours  \d,\d{3}", lines[at + 2])
    looks = lines.index("“it” looks at (layer 16, head 3)")
    assert lines[looks + 1] == "    right  trophy 0.59, The 0.19, does 0.09"


def test_a_future_that_is_seen_is_told_beside_its_low_perplexity():
    trial = in_a_model("masked_attention", lambda q, k, v, *, mask: attncourse.attention(q, k, v))
    assert trial.yours.perplexity < trial.right.perplexity
    assert FUTURE in repr(trial)


def test_a_mask_aligned_to_the_first_key_is_heard_only_when_keys_are_cached():
    def top_left(n, m):
        return torch.ones(n, m, dtype=torch.bool).tril()

    trial = in_a_model("causal_mask", top_left)
    assert trial.yours.perplexity == trial.right.perplexity
    assert trial.yours.words != trial.right.words


def test_rows_that_do_not_sum_to_one_are_told():
    text = repr(in_a_model("softmax", lambda x: x.softmax(-1) / 2))
    assert "Rows of weights do not sum to one: they sum to 0.50 to 0.50." in text


def test_nan_is_told():
    text = repr(in_a_model("softmax", lambda x: x.exp() / 0 * 0))
    assert "Weights are NaN, and so is all that is computed from them." in text
    assert "are not finite (NaN)" in text
    assert "    yours  NaN" in text


def test_a_function_that_raises_is_one_sentence_beside_what_is_right():
    def softmax(x):
        raise NotImplementedError

    trial = in_a_model(softmax)
    assert headline(trial) == "Your softmax in SmolLM2: it does not run."
    sentence = "The function in the socket softmax, layer 0, raised NotImplementedError when given "
    assert list(notes(trial)) == [f"{sentence}(9, 64, 64)."]
    assert "    right  The capital of France is Paris" in repr(trial)


def test_as_many_keys_as_queries_is_told_with_the_shapes():
    def attention(q, k, v, *, mask):
        return attncourse.attention(q, k.reshape(q.shape), v, mask=mask)

    trial = in_a_model("masked_attention", attention)
    assert trial.yours.perplexity == pytest.approx(trial.right.perplexity)
    assert headline(trial) == "Your masked_attention in SmolLM2: it runs in part."
    (note,) = notes(trial)
    assert re.search(r"when given \(9, 1, 64\), \(9, \d\d, 64\), \(9, \d\d, 64\): shape", note)


def test_an_attention_without_a_mask_sees_no_future():
    """It is asked for one query at a time, whether it has the parameter or not."""
    for parameters in ("q, k, v", "q, k, v, *, mask=None"):
        seen = []
        namespace = {"attncourse": attncourse, "seen": seen}
        body = "seen.append(q.shape[-2]); return attncourse.attention(q, k, v)"
        exec(f"def attention({parameters}): {body}", namespace)
        trial = in_a_model(namespace["attention"])
        assert set(seen) == {1}
        assert trial.yours.perplexity == pytest.approx(trial.right.perplexity, rel=1e-4)
        assert "nothing changes" in repr(trial)


def test_values_as_wide_as_keys_write_words_and_have_no_map():
    def attention(q, k, v, *, mask):
        return torch.zeros_like(q) + attncourse.attention(q, k, v, mask=mask)

    trial = in_a_model("masked_attention", attention)
    assert trial.yours.words == trial.right.words
    (note,) = notes(trial)
    assert note.startswith("There is no map: the function in the socket attention, layer 0, raised")
    assert "    yours  –" in repr(trial)
    assert "<img" not in trial._repr_html_()


def test_a_mistake_without_a_voice_is_not_called_right():
    def softmax(x):
        return x.to(torch.bfloat16).softmax(-1).to(x.dtype)

    text = repr(in_a_model(softmax))
    assert "proves nothing" in text or "not the same model" in text or "other words" in text


def test_a_slow_function_is_tried_on_less(monkeypatch):
    monkeypatch.setattr(trying, "SLOW", 0.0)
    text = repr(in_a_model(attncourse.softmax))
    assert "Perplexity on 32 tokens of prose" in text
    assert "Your function takes long, so less is tried" in text


def test_a_notebook_shows_a_table_and_two_maps():
    html = in_a_model("attention", no_scale)._repr_html_()
    assert html.count("<tr>") == 4
    assert html.count('<th scope="col"') == 3
    alt = re.search(r'<img class="attncourse-light" alt="([^"]+)"', html)[1]
    assert 'class="attncourse-dark"' in html
    assert alt.startswith("Two maps of “The trophy does not fit in the suitcase")


def test_what_a_model_writes_is_no_markup(monkeypatch):
    trial = in_a_model(attncourse.softmax)
    told = trying.replace(trial.yours, words=("<script>",))
    html = trying.replace(trial, yours=told)._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html


def test_what_cannot_be_tried_is_a_sentence():
    assert repr(in_a_model("sofmax", print)) == (
        "sofmax has no place in a model; did you mean 'softmax'?"
    )
    assert repr(in_a_model("softmax")) == (
        "in_a_model needs your function as well: in_a_model('softmax', softmax)."
    )
    assert "softmax, attention, fix_attention" in repr(in_a_model("zzz", print))
    for nameless in (torch.nn.Softmax(-1), functools.partial(torch.softmax, dim=-1), lambda x: x):
        assert repr(in_a_model(nameless)).startswith(
            "this function has no name of its own: say in_"
        )
    assert repr(in_a_model("padding_mask", print)).startswith(
        "padding_mask has no place in a model; those that have one: softmax,"
    )


def test_an_absent_model_is_a_sentence_with_the_command(monkeypatch):
    def absent(*args):
        raise packages.MissingModel(f"the models need x: {packages.INSTALL}")

    monkeypatch.setattr(trying.SmolLM, "load", absent)
    assert repr(in_a_model(attncourse.softmax)).startswith("The models need x: pip install gguf")


@pytest.mark.by_turns
@pytest.mark.parametrize("name", PLUGS)
def test_the_right_function_of_every_plug_runs(name):
    trial = trying.trial(name, right(name))
    assert not trial.yours.problem
    assert "nothing changes" in repr(trial)


@pytest.mark.by_turns
def test_windows_and_top_keys_do_change_the_model():
    """Or else the right one beside them would be no other than the whole."""
    whole = in_a_model(attncourse.softmax).right
    for name in ("sliding_window_mask", "sliding_window_attention", "topk_attention"):
        assert trying.trial(name, right(name)).right.perplexity > 1.02 * whole.perplexity


def test_a_window_with_the_first_token_does_less_harm_than_one_without():
    """The sink that chapter 11 is about, as a learner's own mask shows it."""
    without, within = (
        trying.trial(name, right(name)).right.perplexity
        for name in ("sliding_window_mask", "longformer_mask")
    )
    assert within < 0.8 * without


def test_every_exercise_that_exists_and_has_a_socket_is_there():
    assert set(NOW) == set(all_exercises()) & set(PLUGS)
    assert {"softmax", "attention", "masked_softmax"} <= set(NOW) & set(WAYS)


@pytest.mark.by_turns
@pytest.mark.parametrize("name", NOW)
def test_right_answers_in_other_words_change_nothing(name):
    for answer in get(name).right.values():
        trial = trying.trial(name, answer)
        same = "nothing changes" in repr(trial)
        # who draws in another way draws other words, from the same probabilities
        drawn = PLUGS[name].chance and "draws words of its own" in repr(trial)
        assert same or drawn, f"{answer.__name__}: {trial!r}"


@pytest.mark.by_turns
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("name", "wrong"), [(name, each) for name in NOW for each in get(name).wrong]
)
def test_every_wrong_answer_gives_a_report(name, wrong):
    trial = trying.trial(name, get(name).wrong[wrong])
    assert isinstance(trial, Trial)
    shown = trial.yours.words or trial.yours.similarities  # of SmolLM2, of MiniLM
    assert trial.yours.problem or shown or math.isnan(trial.yours.perplexity)
    assert "<table>" in trial._repr_html_()


def test_a_sampler_that_keeps_nothing_is_told_so():
    trial = in_a_model("fix_sample", get("fix_sample").stub)
    assert "does not run" in headline(trial) or "runs in part" in headline(trial)
    assert "Your function raised RuntimeError: invalid multinomial distribution" in repr(trial)


@pytest.mark.parametrize(
    ("name", "function", "said"),
    [
        ("generate", lambda *args: [1, 2], "gave no int64 tensor of tokens"),
        ("beam_search", lambda *args: None, "gave no int64 tensor of tokens"),
        ("sample", lambda logits, **options: 10**9, "gave no token of the vocabulary"),
        ("sample", lambda logits, **options: "a", "gave no token of the vocabulary"),
        ("kv_cache_generate", lambda *args: 1 / 0, "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_writer_that_gives_no_tokens_is_told_so(name, function, said):
    assert f"Your function {said}" in repr(in_a_model(name, function))


def test_a_check_that_passed_offers_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shifted = "lambda x: (x - x.logsumexp(-1, keepdim=True)).exp()"
    attncourse.check("softmax", eval(shifted))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == offer("softmax")
    assert "in_a_model(softmax)" in last
    assert offer("cosine_scores") == ""


# attncourse try

RIGHT = "def softmax(x):\n    return x.softmax(-1)\n"
WRONG = "def causal_mask(n, m):\n    import torch\n    return torch.ones(n, m) > 0\n"


def attempt(*arguments):
    return CliRunner().invoke(main, ["try", *map(str, arguments)], env={"COLUMNS": "200"})


def test_a_notebook_is_tried(tmp_path):
    path = tmp_path / "mine.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in (RIGHT, "1 / 0", WRONG)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    result = attempt(path)
    assert result.exit_code == 0
    assert "Your softmax in SmolLM2: nothing changes." in result.stdout
    assert "Your causal_mask in SmolLM2: it writes other words." in result.stdout
    assert FUTURE in result.stdout
    only = attempt(path, "causal_mask").stdout
    assert "Your softmax" not in only


@pytest.mark.parametrize(
    ("source", "arguments", "sentence"),
    [
        ("x = 1", [], "mine.py defines no function that has a place in a model"),
        (RIGHT, ["attention"], "mine.py defines no function attention"),
        (RIGHT, ["sofmax"], "sofmax has no place in a model; did you mean 'softmax'?"),
        ("", [], "mine.py is empty"),
        (None, [], "mine.py cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_tried_is_refused(tmp_path, monkeypatch, source, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    if source is not None:
        (tmp_path / "mine.py").write_text(source)
    result = attempt("mine.py", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {sentence}\n"
