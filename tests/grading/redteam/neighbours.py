"""Attacks by an exercise that is graded before, in what may be the same process."""

from attack import FRAME, RIGHT, USES_X, WASTE, WRONG, Attack

_FOUND = "next(o for o in gc.get_objects() if type(o).__name__ == 'Traces')"

NEIGHBOURS = {
    "it says that nothing is left, and patches the comparison": Attack(
        "import gc\ndef neighbour(q):\n"
        "    import attncourse.testing, attncourse.course.execution as e\n"
        f"    traces = {_FOUND}\n    type(traces).wipe = lambda self: True\n"
        "    torch.equal = torch.allclose = lambda *a, **k: True\n"
        "    torch.Tensor.__eq__ = lambda *a: True\n"
        "    attncourse.testing.same_value = torch.equal\n"
        "    e._modified = lambda *a: ()\n    return q\n" + WRONG,
        neighbour=True,
    ),
    "it changes what should be found, and what is run": Attack(
        f"import gc\ndef neighbour(q):\n    traces = {_FOUND}\n    traces.names.clear()\n"
        "    import attncourse.grading.confined.definitions as d\n"
        "    d.Definitions.run = lambda self: ({{'weights': lambda q, k: 'passed'}}, ['passed'])\n"
        "    return q\n" + WRONG,
        neighbour=True,
    ),
    "it keeps what the next is not allowed": Attack(
        "import types\ndef neighbour(q):\n    types.kept = torch.softmax, torch.ops.aten._softmax\n"
        "    types.kept[0](q, -1)\n    return q\n"
        "def weights(q, k):\n    import types\n"
        "    kept = getattr(types, 'kept', (torch.softmax,))\n    return kept[0](q @ k.mT, -1)\n",
        told="not allowed",
        neighbour=True,
    ),
    "it makes the next look cheap": Attack(
        "def neighbour(q):\n    from attncourse.grading.confined import replay\n"
        "    from attncourse.measure import cost\n"
        "    through = lambda s, f, t, a=(), k=None: f(*a, **(k or {{}}))\n"
        "    replay._Recorder.__torch_dispatch__ = through\n"
        '    replay.record = lambda *a: (\'{{"steps": [], "result": 0}}\', [])\n'
        "    cost.flops = cost.largest_tensor = lambda *a, **k: 0\n    return q\n" + WASTE,
        most=2,
        neighbour=True,
    ),
    "it answers in advance": Attack(
        FRAME + "def neighbour(q):\n    for n in range(20):\n"
        "        everywhere(frame({{'id': '', 'failure': None, 'modified': [], 'clean': True, "
        "'notes': [], 'values': [1]}}))\n    return q\n" + WRONG,
        neighbour=True,
    ),
    "it gives the next more time": Attack(
        "import resource, signal\ndef neighbour(q):\n"
        "    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]\n"
        "    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))\n"
        "    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    return q\n"
        + USES_X.replace("X\n", "while True: pass\n"),
        neighbour=True,
    ),
    "it counts what is asked of all": Attack(
        "import types\ndef neighbour(q):\n    types.asked = []\n    return q\n"
        "def weights(q, k):\n    import types\n    asked = getattr(types, 'asked', [])\n"
        "    asked.append(1)\n    print('ASKED', len(asked))\n    return torch.zeros(1)\n",
        neighbour=True,
    ),
    "it sets an alarm, and the next is right": Attack(
        "import signal\ndef neighbour(q):\n"
        "    signal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\n    return q\n" + RIGHT,
        most=3,
        neighbour=True,
    ),
}
