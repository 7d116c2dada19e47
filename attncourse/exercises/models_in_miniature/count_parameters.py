r"""# The numbers of a model, counted

Count the parameters of a stack of layers from its sizes, without building it.

`config` is a dict with the integers

- `vocabulary` and `length`, the rows of the tables of tokens and of positions (0 where positions
  are not learned), `d` numbers each;
- `h` heads of queries and `g` heads of keys and of values, each `d_head` wide. Queries, keys and
  values are projected from d, the output back to d;
- `d_ff`, the width of the network, and the number of `layers`;

and the Booleans

- `gated`: the network has three matrices, two up and one down, in place of one up and one down;
- `biases`: each matrix of a layer has a bias for each of its outputs, and each norm a bias beside
  its gain; without, neither has;
- `last_norm`: a norm stands behind the last layer. Each layer has two;
- `tied`: the output uses the table of tokens; otherwise it has a matrix of the same size, without a
  bias.

The result is an integer. `config` stays as it is.
"""

from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.wiring import FAMOUS
from attncourse.models.wiring import count_parameters as solution
from attncourse.testing import assert_same

difficulty, minutes = 2, 20
hints = (
    "Write down the shape of each matrix of one layer first: four projections, then two or three "
    "of the network. A bias has one number for each *output*.",
    "h and g matter only through h * d_head, the width of the queries, and g * d_head, that of "
    "keys and values. What is not in a layer is counted once: tables, last norm, output.",
)
forbidden = ("count_parameters",)

SMALL = {
    **{"vocabulary": 13, "length": 0, "d": 6, "h": 2, "d_head": 5, "g": 1, "d_ff": 7},
    **{"layers": 1, "gated": False, "biases": False, "last_norm": False, "tied": True},
}


def check_published_counts(student):
    """the published counts, to the last digit: GPT-1 and GPT-2, LLaMA-7B, SmolLM2"""
    published = {
        **{"GPT-1": 116_534_784, "GPT-2": 124_439_808, "LLaMA-7B": 6_738_415_616},
        "SmolLM2": 134_515_008,
    }
    for name, count in published.items():
        assert_same(student(dict(FAMOUS[name])), count, f"the count of {name}")


def check_counts_a_real_model(student):
    """equals what a decoder of this library has"""
    for d, h, layers in ((6, 3, 2), (8, 2, 1)):
        sizes = {"vocabulary": 11, "length": 5, "d": d, "h": h, "d_ff": 7, "layers": layers}
        held = sum(p.numel() for p in Decoder(DecoderConfig(**sizes)).parameters())
        more = {"d_head": d // h, "g": h, "biases": True, "last_norm": True}
        assert_same(student(SMALL | sizes | more), held, f"the count for d = {d}")


def check_tables_and_layers(student):
    """tables are counted once, layers as often as there are any"""
    for layers, length in ((1, 0), (3, 0), (2, 9)):
        _assert_counted(student, layers=layers, length=length)


def check_heads_of_any_width(student):
    """heads whose widths do not add up to d, and fewer of keys and values"""
    for h, d_head, g in ((3, 4, 3), (4, 5, 2), (6, 1, 3)):
        _assert_counted(student, h=h, d_head=d_head, g=g)


def check_a_gate_is_a_matrix(student):
    """a gate is one matrix more, with a bias where there are any"""
    for biases in (False, True):
        _assert_counted(student, gated=True, biases=biases, layers=2)


def check_biases_and_norms(student):
    """biases of matrices and norms, with a last norm and without"""
    for last_norm in (False, True):
        for biases in (False, True):
            _assert_counted(student, biases=biases, last_norm=last_norm, layers=3, g=2)


def check_output_of_its_own(student):
    """an output that is not tied has a matrix of its own, and no bias"""
    for biases in (False, True):
        _assert_counted(student, tied=False, biases=biases, length=4)


def _assert_counted(student, **given):
    """Is SMALL counted rightly, with these sizes and switches in it?"""
    config = SMALL | given
    named = ", ".join(f"{name} = {value}" for name, value in given.items())
    assert_same(student(config), right_by_lists(config), f"the count for {named}")


def _changed(config, **parts):
    """The right count with some of its parts exchanged."""
    return sum((_parts(config) | parts).values())


def _parts(config):
    """The count in named parts; those of a layer times the layers."""
    d, layers, b = config["d"], config["layers"], int(config["biases"])
    q, kv = config["h"] * config["d_head"], config["g"] * config["d_head"]
    up = 2 if config["gated"] else 1
    return {
        "tokens": config["vocabulary"] * d,
        "positions": config["length"] * d,
        "projections": layers * (2 * d * q + 2 * d * kv),
        "projection_biases": layers * b * (q + 2 * kv + d),
        "network": layers * (up + 1) * d * config["d_ff"],
        "network_biases": layers * b * (up * config["d_ff"] + d),
        "norms": layers * 2 * (1 + b) * d,
        "last": (1 + b) * d if config["last_norm"] else 0,
        "output": 0 if config["tied"] else config["vocabulary"] * d,
    }


def wrong_projections_square(config):
    """You took d by d for every projection. Queries are h * d_head wide, keys and values
    g * d_head, and neither has to be d.
    """
    return _changed(config, projections=config["layers"] * 4 * config["d"] ** 2)


def wrong_keys_for_every_head(config):
    """You gave each query head keys and values of its own. There are only g heads of them, and
    their two matrices are narrower.
    """
    return sum(_parts(config | {"g": config["h"]}).values())


def wrong_multiplied_by_heads(config):
    """You counted a matrix of the full width for each head. All heads together are h * d_head wide,
    so that their number alone costs nothing.
    """
    parts = _parts(config)
    return _changed(config, projections=parts["projections"] * config["h"])


def wrong_output_projection_forgotten(config):
    """You counted queries, keys and values, and not the output projection of the attention. It maps
    h * d_head back to d: add it to each layer.
    """
    lost = config["layers"] * config["d"] * config["h"] * config["d_head"]
    return sum(_parts(config).values()) - lost


def wrong_gate_forgotten(config):
    """You gave a gated network two matrices. The gate is a third one, d by d_ff: count two up and
    one down.
    """
    return sum(_parts(config | {"gated": False}).values())


def wrong_biases_forgotten(config):
    """You left out the biases. Where `biases` is True each matrix of a layer has one number for
    each output, and each norm a bias beside its gain.
    """
    return sum(_parts(config | {"biases": False}).values())


def wrong_bias_for_each_input(config):
    """You gave a matrix one bias for each of its inputs. A bias is added to what comes out: one for
    each output.
    """
    d, layers, b = config["d"], config["layers"], int(config["biases"])
    heads, up = config["h"] * config["d_head"], 2 if config["gated"] else 1
    return _changed(
        config,
        projection_biases=layers * b * (3 * d + heads),
        network_biases=layers * b * (up * d + config["d_ff"]),
    )


def wrong_norms_have_no_bias(config):
    """You counted gains alone. Where `biases` is True a norm has two numbers a feature: a gain
    and a bias.
    """
    d, last = config["d"], config["d"] if config["last_norm"] else 0
    return _changed(config, norms=config["layers"] * 2 * d, last=last)


def wrong_one_norm_a_layer(config):
    """You counted one norm a layer. There are two, one for the attention and one for the network:
    double that part.
    """
    return _changed(config, norms=_parts(config)["norms"] // 2)


def wrong_last_norm_always(config):
    """You counted a norm behind the last layer whether there is one or not. GPT-1 has none: look at
    `last_norm`.
    """
    return sum(_parts(config | {"last_norm": True}).values())


def wrong_output_counted_though_tied(config):
    """You counted an output matrix where it is tied. It is the table of tokens itself, which is
    counted already: add one only where `tied` is False.
    """
    return _changed(config, output=config["vocabulary"] * config["d"])


def wrong_output_with_a_bias(config):
    """You gave the output a bias for each token. It has none, whatever `biases` says: that is for
    the matrices of a layer.
    """
    extra = 0 if config["tied"] else config["vocabulary"] * int(config["biases"])
    return _changed(config, output=_parts(config)["output"] + extra)


def wrong_positions_forgotten(config):
    """You left out the table of positions. It has `length` rows of d numbers: add them to those of
    the tokens.
    """
    return _changed(config, positions=0)


def right_by_parts(config):
    """part by part, in a dict"""
    return sum(_parts(config).values())


def right_by_lists(config):
    """the shape of every tensor, then the product of each"""
    d, d_ff = config["d"], config["d_ff"]
    q, kv = config["h"] * config["d_head"], config["g"] * config["d_head"]
    ups = [(d, d_ff)] * (2 if config["gated"] else 1)
    matrices = [(d, q), (d, kv), (d, kv), (q, d), *ups, (d_ff, d)]
    norms = (2 if config["biases"] else 1) * d
    layer = sum(rows * columns for rows, columns in matrices) + 2 * norms
    if config["biases"]:
        layer += sum(columns for _, columns in matrices)
    tables = config["vocabulary"] * (1 if config["tied"] else 2) + config["length"]
    return d * tables + config["layers"] * layer + (norms if config["last_norm"] else 0)


shown = right_by_lists
