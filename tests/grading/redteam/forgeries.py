"""Attacks on what the judge believes: frames, state of torch, counted costs, values."""

from attack import FRAME, RIGHT, WASTE, Attack, call

JUDGE = {
    "the default device changed": Attack(
        "torch.set_default_device('meta')\ndef weights(q, k):\n"
        "    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)\n"
    ),
    "an operator changed for all": Attack(
        "import torch.library\nKEPT = torch.library.Library('aten', 'IMPL')\n"
        "KEPT.impl('mm', lambda a, b: torch.zeros(a.shape[0], b.shape[1], dtype=a.dtype), 'CPU')\n"
        "KEPT.impl('exp', lambda a: torch.ones_like(a), 'CPU')\n"
        "def weights(q, k):\n    return q @ k.mT\n"
    ),
    "tracing every line": Attack(
        "import threading\ndef spy(frame, event, argument):\n"
        "    if 'expected' in frame.f_locals: print('SECRET')\n    return spy\n"
        "sys.settrace(spy)\nthreading.settrace(spy)\n" + call("sys.setprofile(spy)")
    ),
    "an audit hook": Attack(
        "sys.addaudithook(lambda *a: os._exit(0) if a[0] == 'open' else None)\n" + call("pass")
    ),
    "an exception hook": Attack(
        "sys.excepthook = sys.unraisablehook = lambda *a: os._exit(0)\n" + call("1 / 0")
    ),
    "the grader's modules replaced": Attack(
        "for name in list(sys.modules):\n    if name.startswith('attncourse'): pass\n"
        "def weights(q, k):\n    for name in list(sys.modules):\n"
        "        if name.startswith(('attncourse', 'safetensors', 'json')):\n"
        "            sys.modules[name] = None\n    return q\n"
    ),
    "the class of tensors patched": Attack(
        "def weights(q, k):\n    torch.Tensor.allclose = torch.Tensor.all = lambda *a, **k: True\n"
        "    torch.Tensor.shape = property(lambda self: (5, 7))\n    return torch.zeros(1)\n"
    ),
}

IN_PLACE = (
    "def weights(q, k):\n    DONE or DONE.append(patch())\n    e = (q @ k.mT).exp()\n"
    "    q.neg_()\n"
    "    return e / e.sum(-1, keepdim=True)\n"
)


def _patched(*lines: str) -> str:
    """A right function that writes into its arguments, and has its process deny that."""
    modules = "attncourse.course.execution as e, attncourse.core.probes as p"
    patch = ["def patch():", *(f"    {line}" for line in lines), "DONE = []"]
    return "\n".join([f"import {modules}", *patch, RIGHT.replace("weights", "right"), IN_PLACE])


_GRADIENT = (
    "old_one = p.PROBES['gradients']",
    "p.PROBES['gradients'] = lambda f, *a, **k: old_one(right, *a, **k)",
)

# A gradient is compared as a value; that it came through the function itself is believed.
CLAIMS = {
    "what is modified, patched": Attack(
        _patched("e._modified = lambda *a: ()", *_GRADIENT), most=1, told="modified its argument"
    ),
    "what is modified, and the probes": Attack(
        _patched(
            "e._modified = lambda *a: ()",
            *_GRADIENT,
            "for name in p.PROBES:",
            "    if name != 'gradients': p.PROBES[name] = lambda *a, **k: 1",
        ),
        most=1,
        told="modified its argument",
    ),
    "the comparison of tensors patched": Attack(
        _patched("torch.equal = lambda *a: True", "e._same = lambda *a: True", *_GRADIENT),
        most=1,
        told="modified its argument",
    ),
    "the outcome rewritten": Attack(
        _patched(
            "import attncourse.grading.confined.worker as w",
            "old = e.execute",
            "def execute(f, probe, args, kwargs, forbidden=()):",
            "    got = old(f, probe, args, kwargs)",
            "    return e.Outcome(got.value, got.failure, ())",
            "w.execute = e.execute = execute",
            *_GRADIENT,
        ),
        most=1,
        told="modified its argument",
    ),
    "the gradients patched": Attack(
        "import attncourse.core.probes as p\n"
        "def weights(q, k):\n"
        "    p.PROBES.update(gradients=lambda f, *a, **k: [torch.ones_like(x) for x in a])\n"
        "    e = (q @ k.mT).detach().exp()\n"
        "    return e / e.sum(-1, keepdim=True)\n",
        most=2,
    ),
}

LIARS = {
    "an argument given back": Attack("def weights(q, k):\n    return q\n"),
    "an argument changed": Attack(
        "def weights(q, k):\n    q.zero_()\n    k.zero_()\n    e = (q @ k.mT).exp()\n"
        "    return e / e.sum(-1, keepdim=True)\n",
        told="modified its argument",
    ),
    "the wrong precision": Attack(
        "def weights(q, k):\n    e = (q @ k.mT).exp()\n"
        "    return (e / e.sum(-1, keepdim=True)).float()\n",
        most=1,
    ),
    "an iterator": Attack("def weights(q, k):\n    yield torch.zeros(1)\n"),
    "a coroutine": Attack("async def weights(q, k):\n    return q\n"),
    "a class for a function": Attack(
        "class weights:\n    def __init__(self, q, k): pass\n"
        "    def __eq__(self, other): return True\n"
    ),
    "bytes below a Boolean": Attack(
        "def weights(q, k):\n    x = torch.full((q.shape[0], k.shape[0]), 7, dtype=torch.uint8)\n"
        "    return x.view(torch.bool)\n"
    ),
    "a view of freed memory": Attack(
        "def weights(q, k):\n    x = torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)\n"
        "    x.untyped_storage().resize_(0)\n    return x\n"
    ),
}


def _payload(header: str, body: str = "b''") -> str:
    """Send this header of safetensors, and bytes, in place of an answer."""
    return (
        FRAME + "def weights(q, k):\n"
        f"    header = json.dumps({header}).encode()\n"
        f"    body = struct.pack('<Q', len(header)) + header + {body}\n"
        "    everywhere(frame({{'values': [{{'tensor': '0'}}], 'id': '', 'failure': None, "
        "'modified': []}}, body))\n    return q\n"
    )


FORGED = {
    "tensors that overlap": Attack(
        _payload(
            "{{str(n): {{'dtype': 'F64', 'shape': [1], 'data_offsets': [0, 8]}} "
            "for n in range(2)}}",
            "bytes(8)",
        )
    ),
    "a hundred thousand tensors": Attack(
        _payload(
            "{{str(n): {{'dtype': 'F64', 'shape': [0], 'data_offsets': [0, 0]}} "
            "for n in range(2000)}}"
        )
    ),
    "a kind of number that is none": Attack(
        _payload("{{'0': {{'dtype': 'EVIL', 'shape': [1], 'data_offsets': [0, 8]}}}}", "bytes(8)")
    ),
    "a negative size": Attack(
        _payload("{{'0': {{'dtype': 'F64', 'shape': [-1], 'data_offsets': [0, -8]}}}}", "bytes(8)")
    ),
    "a size that is a truth": Attack(
        _payload(
            "{{'0': {{'dtype': 'F64', 'shape': [True], 'data_offsets': [False, 8]}}}}", "bytes(8)"
        )
    ),
    "metadata in the header": Attack(
        _payload(
            "{{'__metadata__': {{'passed': 'yes'}}, '0': {{'dtype': 'F64', 'shape': [1], "
            "'data_offsets': [0, 8]}}}}",
            "bytes(8)",
        )
    ),
    "a header longer than its body": Attack(
        FRAME + call("everywhere(frame({{'values': []}}, struct.pack('<Q', 2**63)))")
    ),
    "JUnit for an answer": Attack(
        'XML = \'<testsuite tests="3" failures="0"/>\'\n'
        + call("print(XML)", "os.write(1, XML.encode())", "raise ValueError(XML)")
    ),
    "an exception of the grader's": Attack(
        "def weights(q, k):\n    raise type('Skipped', (Exception,), {{}})('needs a GPU')\n"
    ),
    "an exception that says not attempted": Attack(
        "class NotImplementedError(BaseException): pass\n"
        "def weights(q, k):\n    raise NotImplementedError('passed')\n"
    ),
}


def _hidden(*lines: str) -> str:
    """WASTE under the name `waste`, and a function that uses it."""
    return WASTE.replace("def weights", "def waste") + "\n".join(lines) + "\n"


COSTS = {
    "a function of autograd": Attack(
        _hidden(
            "class Hidden(torch.autograd.Function):",
            "    @staticmethod",
            "    def forward(ctx, q, k): return waste(q, k)",
            "    @staticmethod",
            "    def backward(ctx, g): return None, None",
            "def weights(q, k): return Hidden.apply(q, k)",
        ),
        most=2,
    ),
    "an operator of its own": Attack(
        _hidden(
            "import torch.library",
            "L = torch.library.Library('evil', 'DEF')",
            "L.define('w(Tensor q, Tensor k) -> Tensor')",
            "L.impl('w', waste, 'CPU')",
            "def weights(q, k): return torch.ops.evil.w(q, k)",
        ),
        most=2,
    ),
    "written past torch": Attack(
        _hidden(
            "import ctypes",
            "def weights(q, k):",
            "    out = torch.empty(q.shape[0], k.shape[0], dtype=q.dtype)",
            "    data = waste(q.detach(), k.detach()).numpy().tobytes()",
            "    ctypes.memmove(out.data_ptr(), data, len(data))",
            "    return out",
        ),
        most=2,
    ),
    "lists of Python": Attack(
        "import math\ndef weights(q, k):\n    a, b = q.detach().tolist(), k.detach().tolist()\n"
        "    e = [[math.exp(sum(x * y for x, y in zip(r, s))) for s in b] for r in a]\n"
        "    return torch.tensor([[x / sum(r) for x in r] for r in e], dtype=q.dtype)\n",
        most=1,
    ),
}
