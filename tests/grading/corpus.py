"""A hundred submissions: what people write around an answer, by the answers, right and wrong."""

from functools import partial

ANSWERS = {
    "softmax": {
        "passed": "def softmax(x):\n    e = (x - x.amax(-1, keepdim=True)).exp()\n"
        "    return e / e.sum(-1, keepdim=True)",
        "failed": "def softmax(x):\n    return x.exp() / x.exp().sum(-1, keepdim=True)",
        "raises": "def softmax(x):\n    total = np.sum(x, axis=-1, keepdims=True)\n"
        "    return x / total",
    },
    "causal_mask": {
        "passed": "def causal_mask(n, m):\n    if n < 1 or m < 1:\n        raise ValueError('no')\n"
        "    return torch.ones(n, m, dtype=torch.bool).tril(m - n)",
        "failed": "def causal_mask(n, m):\n    return torch.ones(n, m, dtype=torch.bool).tril()",
        "raises": "def causal_mask(n, m):\n    return torch.ones(n, m).tril(m - k)",
    },
}
IMPORTS = "import numpy as np\nimport torch\nfrom attncourse import check, hint"


def _before(*cells):
    return lambda name, answer: [*cells, answer, f"check({name})"]


def _after(*cells):
    return lambda name, answer: [answer, f"check({name})", *cells]


def _indented(opening, name, answer):
    return [f"{opening}\n    " + answer.replace("\n", "\n    "), f"check({name})"]


def _renamed(binding, name, answer):
    return [answer.replace(f"def {name}", "def mine"), binding.format(name=name), f"check({name})"]


_CLASS = "class Answer:\n    def __call__(self, *args):\n        return mine(*args)"

PATTERNS = {
    "nothing": _before(),
    "a device": _before("if torch.cuda.is_available():\n    d = 'cuda'\nelse:\n    d = 'cpu'"),
    "a package that may be missing": _before("try:\n    import no_such\nexcept ImportError: pass"),
    "Colab": _before("IN_COLAB = 'google.colab' in str(get_ipython())\nif IN_COLAB:\n    !ls"),
    "a table filled": _before("table = {}\ntable.update(a=1)\nfor i in range(3): table[i] = i"),
    "a future": _before("from __future__ import annotations", "def other(x: NoSuch): ..."),
    "a data class": _before(
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    x: 'int'"
    ),
    "a cell that fails": _before("y = 1\n1 / 0\nz = 2"),
    "a cell for the shell": _before("%%bash\ntrue"),
    "a magic for time": lambda name, answer: [f"%%time\n{answer}", f"check({name})"],
    "a magic for output": lambda name, answer: [f"%%capture\n{answer}", f"check({name})"],
    "torch's own, to compare": _after("torch.softmax(torch.ones(3), -1)"),
    "the course's own, to compare": _before(
        "from attncourse import softmax as s, causal_mask as c"
    ),
    "in a condition": partial(_indented, "if True:"),
    "in a block": partial(_indented, "with torch.no_grad():"),
    "a partial": partial(_renamed, "from functools import partial\n{name} = partial(mine)"),
    "an instance": partial(_renamed, f"{_CLASS}\n{{name}} = Answer()"),
    "a lambda": partial(_renamed, "{name} = lambda *args: mine(*args)"),
    "one of two": partial(_renamed, "{name} = mine if True else None"),
    "by its exercise": lambda name, answer: [
        answer.replace(f"def {name}", "def mine"),
        f"check('{name}', mine)",
    ],
    "the name used again": lambda name, answer: [answer, f"check({name})", f"{name} = 3"],
}


# in what such a magic runs, Jupyter counts the lines, if at all, without the magic's own
LINES_OF_ITS_OWN = ("a magic for time", "a magic for output")


def corpus():
    """Each submission's name, exercise, expected state and cells."""
    for what, pattern in PATTERNS.items():
        for name, answers in ANSWERS.items():
            for state, answer in answers.items():
                if state == "raises" and what in LINES_OF_ITS_OWN:
                    continue
                expected = "failed" if state == "raises" else state
                cells = [IMPORTS, *pattern(name, answer)]
                yield f"{what}, {name}, {state}", name, expected, cells
    for what, text in ALONE.items():
        yield what, "softmax", "failed", [IMPORTS, *text]
    yield (
        "a stub",
        "softmax",
        "not attempted",
        [
            IMPORTS,
            "def softmax(x):\n    raise NotImplementedError",
            "check(softmax)",
        ],
    )


# what is refused, and what goes wrong in ways of its own
ALONE = {
    "the course's": [
        "from attncourse import softmax as theirs",
        "def softmax(x):\n    return theirs(x)",
        "check(softmax)",
    ],
    "the course's, imported inside": [
        "def softmax(x):\n    from attncourse import softmax as s\n    return s(x)",
        "check(softmax)",
    ],
    "torch's": ["def softmax(x):\n    return torch.softmax(x, -1)", "check(softmax)"],
    "torch's, in Python": [
        "import torch.nn.functional as F",
        "def softmax(x):\n    return F.softmax(x, dim=-1)",
        "check(softmax)",
    ],
    "a helper that fails": [
        "def helper(x):\n    return x.missing",
        "def softmax(x):\n    return helper(x)",
        "check(softmax)",
    ],
    "an unfinished body": [
        "def softmax(x):\n    e = x.exp()\n    raise NotImplementedError",
        "check(softmax)",
    ],
    "an error of PyTorch's of that name": [
        "def softmax(x):\n    return torch.empty(2, device='meta').tolist()",
        "check(softmax)",
    ],
    "an argument changed": ["def softmax(x):\n    x.exp_()\n    return x", "check(softmax)"],
    "nothing returned": ["def softmax(x):\n    x.exp()", "check(softmax)"],
}
