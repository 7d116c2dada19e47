"""What PyTorch's other makers of graphs make of the library as it is installed; prints JSON.

make_fx and jit.trace record what one call does; torch.export makes a program for every length. The
tests' own import hook checks annotations, which know no symbolic sizes, so that this runs in a
process without it.
"""

import json
import logging
import sys
import warnings

import torch
from torch.export import Dim, export
from torch.fx.experimental.proxy_tensor import make_fx

from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.testing import assert_same
from rows import MECHANISMS


class Called(torch.nn.Module):
    """A function as torch.export wants it."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *arguments):
        return self.function(*arguments)


def recorded(row, arguments):
    """make_fx with symbolic sizes."""
    options = {"tracing_mode": "symbolic", "_allow_non_fake_inputs": True}  # tables of a row
    return make_fx(lambda *given: row.fast(*given), **options)(*arguments), []


def traced(row, arguments):
    """jit.trace, in which a size is a tensor."""
    return torch.jit.trace(Called(row.fast), arguments, check_trace=False), []


def exported(row, arguments):
    """torch.export with every axis free that may be, and shorter arguments for the program."""
    axes = (tuple(dict.fromkeys(range(x.ndim), Dim.AUTO) for x in arguments),)
    program = export(Called(row.fast), arguments, dynamic_shapes=axes, strict=False)
    names = [spec.arg.name for spec in program.graph_signature.input_specs if _given(spec)]
    nodes = {
        node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"
    }
    shapes = [nodes[name].shape for name in names]
    return program.module(), [shorter(x, shape) for x, shape in zip(arguments, shapes, strict=True)]


def _given(spec):
    return spec.kind.name == "USER_INPUT"


def shorter(x, shape):
    """The argument without the last entry of each axis that is free, but for batch and heads."""
    for axis, size in enumerate(shape):
        if free(size) and x.shape[axis] > 4:
            x = x.narrow(axis, 0, x.shape[axis] - 1)
    return x.contiguous()


def free(size):
    """Has the program left this size open?"""
    return isinstance(size, torch.SymInt) and size.node.maybe_as_int() is None


KINDS = {"make_fx": recorded, "trace": traced, "export": exported}


def outcome(kind, name):
    """None, or why there is no graph that computes the same: for these sizes, for others."""
    row = MECHANISMS[name]
    arguments = tuple(x.contiguous() for x in row.inputs(2, seed=5))
    try:
        graph, others = KINDS[kind](row, arguments)
        assert_same(graph(*arguments), row.fast(*arguments))
        if others:
            assert_same(graph(*others), row.fast(*others), "the result for another length")
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    fixed = all(x.shape == y.shape for x, y in zip(arguments, others, strict=False))
    return "fixed: the program is for one length" if others and fixed else None


def decoder(positions):
    """Does a decoder that was exported with 5 tokens compute what it does with 3 and with 9?"""
    config = DecoderConfig(
        vocabulary=11, length=9, d=8, h=2, d_ff=16, layers=2, positions=positions
    )
    model = Decoder(config, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(18).view(2, 9) % 11
    shape = {"tokens": {1: Dim("n", max=9)}}
    program = export(
        model, (tokens[:, :5].contiguous(),), dynamic_shapes=shape, strict=False
    ).module()
    for n in (3, 9):
        assert_same(program(tokens[:, :n]), model(tokens[:, :n]))
    return True


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # jit.trace says where a size is fixed
    logging.disable(logging.CRITICAL)
    kind, *names = sys.argv[1:]
    made = decoder if kind == "decoder" else lambda name: outcome(kind, name)
    with torch.no_grad():
        print(json.dumps({name: made(name) for name in names}))
