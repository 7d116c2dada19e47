"""The attacks, by kind and name; what more there are in files beside this one."""

import escapes
import forgeries
import neighbours
import notebooks
from attack import FRAME, USES_X, WASTE, Attack, call, tell

EXITS = {
    "exit at once": Attack(call("os._exit(0)"), told="exited with code 0"),
    "exit by the system": Attack(call("sys.exit(0)"), told="SystemExit"),
    "exit while loading": Attack("X = os._exit(0)\ndef weights(q, k):\n    return X\n"),
    "interrupt itself": Attack(call("raise KeyboardInterrupt"), told="exited"),
    "an exception of its own kind": Attack(
        "class Passed(BaseException): pass\n" + call("raise Passed('3 of 3 passed')")
    ),
    "at exit": Attack(
        "import atexit\natexit.register(lambda: os.write(4, b'passed'))\n" + call("sys.exit(0)")
    ),
    "killed by itself": Attack(call("os.kill(os.getpid(), 9)"), told="SIGKILL"),
    "a crash": Attack(call("import ctypes", "ctypes.string_at(0)"), told="SIGSEGV"),
    "an abort": Attack(call("os.abort()"), told="ended by"),
    "signals ignored in a loop": Attack(
        "import signal\ndef ignoring():\n    for s in (signal.SIGXCPU, signal.SIGTERM):\n"
        "        signal.signal(s, signal.SIG_IGN)\n"
        "def weights(q, k):\n    ignoring()\n    while True: pass\n",
        told="was stopped",
    ),
    "a handler that answers": Attack(
        "import signal\ndef weights(q, k):\n"
        "    signal.signal(signal.SIGXCPU, lambda *a: os._exit(0))\n    while True: pass\n"
    ),
    "endless recursion": Attack("def weights(q, k):\n    return weights(q, k)\n", told="Recursion"),
    "recursion without a limit": Attack(
        "def weights(q, k):\n    sys.setrecursionlimit(10**9)\n    return weights(q, k)\n"
    ),
    "sleeping": Attack("import time\n" + call("time.sleep(3600)"), told="it slept for"),
    "stopping itself": Attack(call("os.kill(os.getpid(), 19)"), told="it slept for"),
    "a generator that never ends": Attack("def weights(q, k):\n    return list(iter(int, 1))\n"),
    "a lock that is never free": Attack(
        "import threading\ndef weights(q, k):\n    lock = threading.Lock()\n    lock.acquire()\n"
        "    lock.acquire()\n",
        told="it slept for",
    ),
}

JUDGE = {
    "frames above": Attack(
        "def weights(q, k):\n    frame = sys._getframe()\n    while frame:\n"
        "        for name, value in list(frame.f_locals.items()):\n"
        "            if 'expected' in name or 'solution' in name: return value\n"
        "        frame = frame.f_back\n    return torch.zeros(1)\n"
    ),
    "all objects": Attack(
        "import gc\ndef weights(q, k):\n    gc.unfreeze()\n    for f in gc.get_objects():\n"
        "        if callable(f) and getattr(f, '__name__', '') in ('solution', 'attention'):\n"
        "            try: return f(q, k)\n            except Exception: pass\n"
        "    return torch.zeros(1)\n"
    ),
    "tensors nearby": Attack(
        "import gc\ndef weights(q, k):\n    return next((t for t in gc.get_objects() if "
        "isinstance(t, torch.Tensor) and t.shape == (q.shape[0], k.shape[0])), q)\n"
    ),
    "assert_close patched": Attack(
        "torch.testing.assert_close = lambda *a, **k: None\n"
        "import attncourse.testing\nattncourse.testing.assert_same = lambda *a, **k: None\n"
        "def weights(q, k):\n    torch.testing.assert_close = lambda *a, **k: None\n"
        "    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)\n"
    ),
    "builtins patched": Attack(
        "import builtins\ndef weights(q, k):\n    builtins.isinstance = lambda *a: True\n"
        "    builtins.len = lambda x: 0\n    builtins.bool = lambda *a: True\n"
        "    builtins.all = builtins.any = lambda *a: True\n    return torch.zeros(1)\n"
    ),
    "equal and allclose patched": Attack(
        "yes = lambda *a, **k: True\ndef weights(q, k):\n"
        "    torch.equal = torch.allclose = torch.Tensor.__eq__ = yes\n"
        "    torch.isclose = lambda a, b, **k: torch.ones_like(a, dtype=torch.bool)\n"
        "    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)\n"
    ),
    "pytest patched": Attack(
        "try:\n    import pytest\nexcept ImportError:\n    pytest = None\n"
        "def weights(q, k):\n    import _pytest.runner\n    return q\n"
    ),
    "the channel patched": Attack(
        "from attncourse.grading.wire import channel\ndef weights(q, k):\n"
        "    channel.Channel.send = lambda self, *a, **k: os.write(self.writing, b'passed')\n"
        "    return q\n",
    ),
    "the check patched": Attack(
        "import attncourse.course.execution as e\ndef weights(q, k):\n"
        "    e.Outcome = lambda *a, **k: 'passed'\n    return q\n"
    ),
    "the checks imported": Attack(
        "def weights(q, k):\n    from attncourse.course import checking\n"
        "    checking.State = 'passed'\n    return q\n"
    ),
    "global state of torch": Attack(
        "def weights(q, k):\n    torch.set_default_dtype(torch.float16)\n"
        "    torch.set_printoptions(precision=1)\n    torch.manual_seed(1)\n"
        "    torch.set_grad_enabled(False)\n    torch.use_deterministic_algorithms(False)\n"
        "    torch.set_num_threads(64)\n    return q @ k.mT\n"
    ),
    "threads": Attack(
        "import threading\ndef forever():\n    while True: pass\n"
        "def weights(q, k):\n    threading.Thread(target=forever, daemon=True).start()\n"
        "    return q\n"
    ),
}

LIARS = {
    "equal to everything": Attack(
        "class Liar:\n    def __eq__(self, other): return True\n    shape = (5, 7)\n"
        "    dtype = torch.float64\n    __class__ = torch.Tensor\n"
        "def weights(q, k):\n    return Liar()\n"
    ),
    "a tensor that lies": Attack(
        "class Liar(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, func, types, args=(), kwargs=None):\n"
        "        return True\n"
        "def weights(q, k):\n    return torch.zeros(q.shape[0], k.shape[0]).as_subclass(Liar)\n"
    ),
    "a float that lies": Attack(
        "class Liar(float):\n    __eq__ = __ge__ = __le__ = lambda *a: True\n"
        "def weights(q, k):\n    return Liar(0)\n"
    ),
    "a shape that lies": Attack(
        "class Liar(torch.Tensor):\n    shape = property(lambda self: torch.Size((5, 7)))\n"
        "def weights(q, k):\n    return torch.zeros(1).as_subclass(Liar)\n"
    ),
    "no number at all": Attack(
        "def weights(q, k):\n    return torch.full((q.shape[0], k.shape[0]), torch.nan, "
        "dtype=q.dtype)\n"
    ),
    "no memory behind it": Attack(
        "def weights(q, k):\n    return torch.empty(q.shape[0], k.shape[0], dtype=q.dtype, "
        "device='meta')\n"
    ),
    "an expanded giant": Attack("def weights(q, k):\n    return torch.zeros(1).expand(2**40)\n"),
    "sparse, quantised, complex": Attack(
        "def weights(q, k):\n    return (q @ k.mT).to(torch.complex128).to_sparse()\n"
    ),
    "a pickle bomb": Attack(
        "class Bomb:\n    def __reduce__(self): return (os.system, ('touch {canary}.pwned',))\n"
        "def weights(q, k):\n    return [Bomb()]\n"
    ),
    "a list in itself": Attack("def weights(q, k):\n    x = []\n    x.append(x)\n    return x\n"),
    "a dict of a million": Attack(
        "def weights(q, k):\n    return dict.fromkeys(map(str, range(10**6)))\n"
    ),
    "deep lists": Attack(
        "def weights(q, k):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x\n"
    ),
    "a name that is code": Attack(
        "Evil = type('<script>\\u202ealert(1)</script>\\x1b[2J' * 9, (), {{}})\n"
        "def weights(q, k):\n    return Evil()\n"
    ),
    "a message that is code": Attack(
        "def weights(q, k):\n    raise ValueError('\\x1b[2J\\u202e<script>' + 'x' * 10**6)\n",
        told="is not shown",
    ),
}

FORGED = {
    "an answer that says passed": Attack(
        FRAME + call("everywhere(frame({{'state': 'passed', 'values': []}}))")
    ),
    "an answer before the question": Attack(
        FRAME + "SENT = everywhere(frame({{'id': '0' * 16, 'failure': None, 'modified': [], "
        "'values': [1]}}))\ndef weights(q, k):\n    return SENT\n"
    ),
    "two answers": Attack(
        FRAME + "def weights(q, k):\n    frame_ = sys._getframe()\n"
        "    while frame_ and 'request' not in frame_.f_locals: frame_ = frame_.f_back\n"
        "    identity = frame_.f_locals['request']['id']\n"
        "    for _ in range(9):\n        everywhere(frame({{'id': identity, 'failure': None, "
        "'modified': [], 'values': [0.5]}}))\n    return q\n"
    ),
    "a giant frame": Attack(FRAME + call("everywhere(struct.pack('<IQ', 2**32 - 1, 2**63))")),
    "a frame that never ends": Attack(
        FRAME
        + "import time\n"
        + call("everywhere(struct.pack('<IQ', 1000, 0) + b'{{')", "time.sleep(3600)"),
    ),
    "deep JSON": Attack(
        FRAME + "def weights(q, k):\n    data = b'[' * 200000\n"
        "    everywhere(struct.pack('<IQ', len(data), 0) + data)\n    return q\n"
    ),
    "JSON with giant numbers": Attack(
        FRAME + "def weights(q, k):\n    data = b'9' * 200000\n"
        "    everywhere(struct.pack('<IQ', len(data), 0) + data)\n    return q\n"
    ),
    "a poisoned header": Attack(
        FRAME + "def weights(q, k):\n    header = json.dumps({{'0': {{'dtype': 'F64', 'shape': "
        "[2**40, 2**40], 'data_offsets': [0, 2**63]}}}}).encode()\n"
        "    body = struct.pack('<Q', len(header)) + header\n"
        "    everywhere(frame({{'values': [{{'tensor': '0'}}]}}, body))\n    return q\n"
    ),
    "an id that is a list": Attack(
        FRAME + "def weights(q, k):\n    everywhere(frame({{'id': ['x'], 'failure': [1, 2], "
        "'modified': {{}}, 'values': {{}}}}))\n    return q\n"
    ),
    "noise on every descriptor": Attack(FRAME + call("everywhere(os.urandom(10**5))")),
    "descriptors swapped": Attack(
        "def weights(q, k):\n    for a in range(3, 9):\n        for b in range(3, 9):\n"
        "            try: os.dup2(a, b)\n            except OSError: pass\n    return q\n"
    ),
}

BOMBS = {
    "memory at once": Attack(call("torch.zeros(10**13)"), told="not enough memory"),
    "memory bit by bit": Attack(
        "def weights(q, k):\n    kept = []\n    while True: kept.append(bytearray(2**26))\n"
    ),
    "output": Attack(
        "def weights(q, k):\n    for _ in range(60): sys.stdout.write('y' * 10**6)\n    return q\n"
    ),
    "processes": Attack(
        "def weights(q, k):\n    for _ in range(200):\n        if os.fork() == 0:\n"
        "            import time\n            time.sleep(3600)\n    return q\n",
    ),
    "a process in a session of its own": Attack(
        "import subprocess\ndef weights(q, k):\n    subprocess.Popen(['sleep', '31536000'], "
        "start_new_session=True)\n    return q\n"
    ),
    "a daemon": Attack(
        "def weights(q, k):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0:\n            import time\n            time.sleep(31536000)\n"
        "        os._exit(0)\n    return q\n"
    ),
    "one large file": Attack(
        "def weights(q, k):\n    with open('large', 'wb') as file:\n"
        "        for _ in range(100): file.write(bytes(2**20))\n    return q\n"
    ),
    "shared memory": Attack(
        "def weights(q, k):\n    fd = os.open('/dev/shm/attncourse-red', os.O_CREAT | os.O_RDWR)\n"
        "    os.write(fd, bytes(2**20))\n    return q\n",
        confined=True,
    ),
    "a sum of two hundred thousand": Attack("X = " + "1+" * 200_000 + "1\n" + USES_X),
    "brackets without end": Attack("X = " + "(" * 50_000 + ")" * 50_000 + "\n" + USES_X),
    "a power tower": Attack("X = 9 ** 9 ** 9\n" + USES_X),
    "a long chain of attributes": Attack("X = a" + ".b" * 100_000 + "\n" + USES_X),
    "a time bomb": Attack(
        "import signal\ndef weights(q, k):\n"
        "    signal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        "    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)\n"
    ),
}

SPIES = {
    "a file of the teacher's": Attack(tell("open({canary!r}).read()"), confined=True),
    "through a link": Attack(
        "def weights(q, k):\n    os.symlink({canary!r}, 'link')\n    print(open('link').read())\n",
        confined=True,
    ),
    "written over": Attack(call("open({canary!r}, 'w').write('mine')"), confined=True),
    "truncated": Attack(call("os.truncate({canary!r}, 0)"), confined=True),
    "removed": Attack(call("os.remove({canary!r})"), confined=True),
    "made readable": Attack(call("os.chmod({canary!r}, 0o777)"), confined=True),
    "renamed": Attack(call("os.rename({canary!r}, {canary!r} + '.pwned')"), confined=True),
    "passwords": Attack(tell("'SECRET' if open('/etc/passwd').read() else ''"), confined=True),
    "the environment": Attack(tell("dict(os.environ)")),
    "the parent's environment": Attack(
        tell("open(f'/proc/{{os.getppid()}}/environ').read()"),
    ),
    "the parent's memory": Attack(
        call("open(f'/proc/{{os.getppid()}}/mem', 'r+b').write(b'x')"), confined=True
    ),
    "the judge killed": Attack(call("os.kill(os.getppid(), 9)"), confined=True),
    "everyone killed": Attack(call("os.kill(-1, 0) or print('SECRET')"), confined=True),
    "the network": Attack(
        "import socket\ndef weights(q, k):\n"
        "    socket.create_connection(('127.0.0.1', {port}), timeout=2).send(b'x')\n",
        confined=True,
    ),
    "a shell": Attack(tell("os.popen('cat {canary}').read()"), confined=True),
    "by a system call": Attack(
        "import ctypes\ndef weights(q, k):\n    c = ctypes.CDLL(None)\n"
        "    name = {canary!r}.encode()\n    fd = c.syscall(257, -100, name, 0)\n"
        "    print(os.read(fd, 99))\n",
        confined=True,
    ),
    "the library imported": Attack(
        "from attncourse.mechanisms.dense import softmax as s\ndef weights(q, k):\n"
        "    from attncourse.mechanisms.dense.softmax import softmax\n"
        "    return softmax(q @ k.mT)\n"
    ),
    "the library found in memory": Attack(
        "def weights(q, k):\n    for name, module in list(sys.modules.items()):\n"
        "        if 'mechanisms' in name or 'exercises' in name: print('SECRET', name)\n"
        "    return q\n"
    ),
    "the hook removed": Attack(
        "import importlib\ndef weights(q, k):\n    sys.meta_path[:] = [getattr(f, 'finder', f) "
        "for f in sys.meta_path if type(f).__name__ != '_Modules']\n"
        "    importlib.invalidate_caches()\n"
        "    from attncourse.mechanisms.dense.softmax import masked_softmax\n"
        "    return masked_softmax(q @ k.mT, None)\n",
        confined=True,
    ),
    "the solution read as text": Attack(
        "def weights(q, k):\n    import attncourse\n"
        "    folder = os.path.dirname(attncourse.__file__)\n"
        "    text = open(os.path.join(folder, 'mechanisms', 'dense', 'softmax.py')).read()\n"
        "    print('SECRET', len(text))\n    return q\n",
        confined=True,
    ),
    "the solution read as bytecode": Attack(
        "import glob\ndef weights(q, k):\n    import attncourse\n"
        "    folder = os.path.dirname(attncourse.__file__)\n"
        "    found = glob.glob(folder + '/mechanisms/dense/__pycache__/*.pyc')\n"
        "    print('SECRET' if found else '')\n    return q\n",
        confined=True,
    ),
    "the solution by linecache": Attack(
        "import linecache\ndef weights(q, k):\n    import attncourse\n"
        "    folder = os.path.dirname(attncourse.__file__)\n"
        "    print('SECRET' if linecache.getlines(folder + '/exercises/softmax.py') else '')\n"
        "    return q\n",
        confined=True,
    ),
}

# the kernel below the dispatcher, by its name in the library
_KERNEL = "_ZN2at3cpu12_softmax_outERNS_6TensorERKS1_lb"
_CALLED = (
    "    x, out = (q @ k.mT).detach(), torch.empty(q.shape[0], k.shape[0], dtype=q.dtype)\n"
    "    a, b = c.c_void_p(x._cdata), c.c_void_p(out._cdata)\n"
    "    f.restype = c.c_void_p\n"
    "    f(c.byref(b), c.byref(a), c.c_long(-1), c.c_bool(False))\n    return out\n"
)

FORBIDDEN = {
    "by get_decompositions": Attack(
        "from torch._decomp import get_decompositions\ndef weights(q, k):\n"
        "    op = getattr(torch.ops.aten, '_soft' + 'max').default\n"
        "    return get_decompositions([op])[op](q @ k.mT, -1, False)\n",
        told="softmax is not allowed",
    ),
    "by the table of decompositions": Attack(
        "from torch._decomp import decomposition_table\ndef weights(q, k):\n"
        "    for op, f in decomposition_table.items():\n"
        "        if str(op) == 'aten._soft' 'max.default': return f(q @ k.mT, -1, False)\n",
        told="softmax is not allowed",
    ),
    "by what a decomposition wraps": Attack(
        "import gc, types\ndef weights(q, k):\n    gc.unfreeze()\n"
        "    for f in gc.get_objects():\n"
        "        if isinstance(f, types.FunctionType) and f.__name__ in ('_soft' 'max',):\n"
        "            try: return f(q @ k.mT, -1, False)\n            except TypeError: pass\n",
    ),
    "by PyTorch's references": Attack(
        "import torch._refs.nn.functional as r\ndef weights(q, k):\n"
        "    return getattr(r, 'soft' + 'max')(q @ k.mT, -1)\n",
        told="softmax is not allowed",
    ),
    "by a distribution": Attack(
        "def weights(q, k):\n    d = getattr(torch.distributions, 'Cate' + 'gorical')\n"
        "    return d(logits=q @ k.mT).logits.exp()\n",
        told="Categorical is not allowed",
    ),
    "by a distribution of another kind": Attack(
        "def weights(q, k):\n    d = getattr(torch.distributions, 'OneHotCate' + 'gorical')\n"
        "    return d(logits=q @ k.mT).logits.exp()\n",
        told="Categorical is not allowed",
    ),
    "by a transform of distributions": Attack(
        "def weights(q, k):\n    t = getattr(torch.distributions, 'Soft' 'maxTransform')()\n"
        "    return t(q @ k.mT)\n",
        told="SoftmaxTransform is not allowed",
    ),
    "by the kernel in PyTorch's library": Attack(
        "import ctypes as c, glob\ndef weights(q, k):\n"
        "    place = os.path.dirname(torch.__file__) + '/lib/libtorch_cpu.so'\n"
        f"    f = getattr(c.CDLL(place), '{_KERNEL}')\n" + _CALLED,
        told="ctypes is not available",
    ),
    "by the kernel, with what ctypes keeps below": Attack(
        "import ctypes as c, _ctypes\ndef weights(q, k):\n"
        "    make = next(x for x in object.__subclasses__() if x.__name__ == '_CData')\n"
        "    made = [y for x in make.__subclasses__() for y in (x, *x.__subclasses__())]\n"
        "    base = next(x for x in made if x.__name__ == 'CFuncPtr')\n"
        "    class F(base): _flags_, _restype_ = 1, c.c_int\n"
        f"    f = F(('{_KERNEL}', c.CDLL.__new__(c.CDLL)))\n" + _CALLED,
    ),
    "by ctypes, with the hook changed": Attack(
        "import ctypes as c, gc, types\ndef weights(q, k):\n    gc.unfreeze()\n"
        "    for f in gc.get_objects():\n"
        "        if isinstance(f, types.FunctionType) and 'heard' in f.__name__:\n"
        "            f.__code__ = (lambda event, given: None).__code__\n"
        "    place = os.path.dirname(torch.__file__) + '/lib/libtorch_cpu.so'\n"
        "    import _ctypes\n    f = _ctypes.dlopen(place, 2)\n    return q\n",
        told="ctypes is not available",
    ),
    "by the registration taken back": Attack(
        "import ctypes as c, gc\ndef weights(q, k):\n"
        "    for x in gc.get_objects():\n"
        "        if type(x).__name__ == '_DispatchModule':\n"
        "            for _ in range(9): c.pythonapi.Py_DecRef(c.py_object(x))\n"
        "    return getattr(torch, 'soft' + 'max')(q @ k.mT, -1)\n",
    ),
    "by its name": Attack(
        "def weights(q, k):\n    return torch.softmax(q @ k.mT, -1)\n",
        told="softmax is not allowed",
    ),
    "by an alias": Attack(
        "from torch import softmax as f\ndef weights(q, k):\n    return f(q @ k.mT, -1)\n",
        told="softmax is not allowed",
    ),
    "by a built string": Attack(
        "def weights(q, k):\n    return getattr(torch, 'soft' + 'max')(q @ k.mT, -1)\n",
        told="softmax is not allowed",
    ),
    "by the operator": Attack(
        "def weights(q, k):\n    f = getattr(torch.ops.aten, '_soft' + 'max')\n"
        "    return f(q @ k.mT, -1, False)\n",
        told="softmax is not allowed",
    ),
    "in letters that look alike": Attack(
        "def weights(q, k):\n    return torch.ｓoftmax(q @ k.mT, -1)\n",
        told="softmax is not allowed",
    ),
    "by the logarithm": Attack(
        "def weights(q, k):\n    return getattr(q @ k.mT, 'log_soft' + 'max')(-1).exp()\n",
        told="softmax is not allowed",
    ),
    "by attention": Attack(
        "import torch.nn.functional as F\n"
        "def weights(q, k):\n    f = getattr(F, 'scaled_dot_product_' + 'attention')\n"
        "    return f(q, k, torch.eye(k.shape[0], dtype=q.dtype), scale=1.0)\n",
        told="softmax is not allowed",
    ),
    "by TorchScript": Attack(
        "import torch.nn as nn\nLayer = getattr(nn, 'Soft' + 'max')\n"
        "def weights(q, k):\n    return torch.jit.trace(Layer(-1), q @ k.mT)(q @ k.mT)\n",
    ),
    "with the function modes off": Attack(
        "def weights(q, k):\n    with torch._C.DisableTorchFunction():\n"
        "        return getattr(torch, 'soft' + 'max')(q @ k.mT, -1)\n",
        told="softmax is not allowed",
    ),
    "by vmap": Attack(
        "def weights(q, k):\n    f = getattr(torch, 'soft' + 'max')\n"
        "    return torch.vmap(lambda row: f(row, -1))(q @ k.mT)\n",
        told="softmax is not allowed",
    ),
    "by the decomposition": Attack(
        "def weights(q, k):\n    from torch._decomp import decompositions as d\n"
        "    return getattr(d, '_soft' + 'max')(q @ k.mT, -1, False)\n"
    ),
    "by a registration of its own": Attack(
        "import torch.library\ndef weights(q, k):\n"
        "    library = torch.library.Library('aten', 'IMPL')\n"
        "    library.impl('soft' 'max.int', lambda x, d, t=None: x, 'CPU')\n"
        "    return getattr(torch, 'soft' + 'max')(q @ k.mT, -1)\n"
    ),
}

COSTS = {
    "honest waste": Attack(WASTE, most=2, told="more than the products"),
    "the counter patched": Attack(
        "import torch.utils.flop_counter as f\n"
        "def patch():\n    f.FlopCounterMode.get_total_flops = lambda self: 1\n"
        + WASTE.replace("    wide_q", "    patch()\n    wide_q", 1),
        most=2,
    ),
    "the probes patched": Attack(
        "import attncourse.core.probes as p\ndef patch():\n"
        "    for name in p.PROBES: p.PROBES[name] = lambda *a, **k: 1\n"
        + WASTE.replace("    wide_q", "    patch()\n    wide_q", 1),
        most=2,
    ),
    "the answer patched": Attack(
        "import attncourse.grading.confined.worker as w\ndef patch():\n"
        "    w.execute = lambda f, probe, a, k: w.Outcome(f(*a, **k) if probe is None else 1)\n"
        + WASTE.replace("    wide_q", "    patch()\n    wide_q", 1),
        most=2,
    ),
    "the recorder patched": Attack(
        "import attncourse.grading.confined.replay as r\ndef patch():\n"
        '    r.record = lambda f, a, k: (\'{{"steps": [], "result": null}}\', [])\n'
        + WASTE.replace("    wide_q", "    patch()\n    wide_q", 1),
        most=2,
    ),
    "a record of the answer alone": Attack(
        "import attncourse.grading.confined.replay as r\ndef patch():\n"
        '    r.record = lambda f, a, k: (\'{{"steps": [], "result": ["c", 0]}}\', [f(*a, **k)])\n'
        + WASTE.replace("    wide_q", "    patch()\n    wide_q", 1),
        most=2,
    ),
    "modes popped while it wastes": Attack(
        WASTE.replace(
            "    wide_q",
            "    from torch.utils._python_dispatch import _disable_current_modes as off\n"
            "    with off():\n        return waste(q, k)\n"
            "def waste(q, k):\n    wide_q",
            1,
        ),
        most=2,
    ),
    "another function while it is counted": Attack(
        "def weights(q, k):\n    from torch.utils._python_dispatch import "
        "_get_current_dispatch_mode as m\n"
        "    return waste(q, k) if m() is None else torch.zeros(20, 30, dtype=q.dtype)\n"
        + WASTE.replace("def weights", "def waste"),
        most=2,
    ),
    "work done in numpy": Attack(
        "import numpy as np\ndef weights(q, k):\n"
        "    a, b = q.detach().numpy(), k.detach().numpy()\n"
        "    e = np.exp(a @ b.T)\n    return torch.from_numpy(e / e.sum(-1, keepdims=True))\n",
        most=1,
    ),
    "an answer kept from before": Attack(
        "KEPT = {{}}\ndef weights(q, k):\n    key = (q.shape, float(q.detach().flatten()[0]))\n"
        "    if key not in KEPT: KEPT[key] = waste(q, k)\n    return KEPT[key]\n"
        + WASTE.replace("def weights", "def waste"),
        most=2,
    ),
}

REPLAYED = {
    "answers looked up by their inputs": Attack(
        "def inputs(*shape, seed):\n    g = torch.Generator().manual_seed(seed)\n"
        "    return torch.randn(shape, generator=g, dtype=torch.float64)\n"
        "KNOWN = [(inputs(5, 3, seed=1), inputs(7, 3, seed=2))]\n"
        "def weights(q, k):\n    for a, b in [*KNOWN, *[(b, a) for a, b in KNOWN]]:\n"
        "        if q.shape == a.shape and torch.equal(q, a):\n"
        "            e = (a @ b.mT).exp()\n            return e / e.sum(-1, keepdim=True)\n"
        "    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)\n"
    ),
    "state kept between exercises": Attack(
        "COUNT = []\ndef weights(q, k):\n    COUNT.append(1)\n    print('COUNT', len(COUNT))\n"
        "    return torch.zeros(1)\n"
    ),
}

ATTACKS: dict[str, Attack] = {
    f"{kind}: {name}": attack
    for kind, groups in {
        "exit": (EXITS,),
        "judge": (JUDGE, forgeries.JUDGE),
        "liar": (LIARS, forgeries.LIARS, forgeries.CLAIMS),
        "forged": (FORGED, forgeries.FORGED),
        "bomb": (BOMBS, escapes.BOMBS),
        "spy": (SPIES, escapes.SPIES),
        "smuggled": (escapes.SMUGGLED,),
        "notebook": (notebooks.NOTEBOOKS,),
        "forbidden": (FORBIDDEN,),
        "cost": (COSTS, forgeries.COSTS),
        "seen": (REPLAYED, escapes.KEPT),
        "neighbour": (neighbours.NEIGHBOURS,),
    }.items()
    for group in groups
    for name, attack in group.items()
}

# What computes until it is stopped, or fills what there is: a few of them are tried every time.
LONG = (
    "exit: a handler that answers",
    "exit: a generator that never ends",
    "exit: recursion without a limit",
    "liar: a dict of a million",
    "bomb: memory bit by bit",
    "bomb: memory mapped and shared",
    "bomb: a power tower",
    "bomb: a reduction of ten billion",
    "bomb: a list that doubles",
    "bomb: a text that doubles",
    "bomb: a pattern that backtracks",
    "bomb: many definitions",
    "bomb: output past Python",
    "notebook: thousands of cells",
    "forbidden: by what a decomposition wraps",
    "neighbour: it gives the next more time",
)

# What must hold too where only limits on time, memory and processes are to be had.
WITH_LIMITS_ONLY = (
    "exit: exit at once",
    "exit: killed by itself",
    "exit: signals ignored in a loop",
    "judge: frames above",
    "judge: assert_close patched",
    "judge: global state of torch",
    "judge: threads",
    "forged: an answer that says passed",
    "forged: two answers",
    "forged: a poisoned header",
    "bomb: memory bit by bit",
    "bomb: processes",
    "bomb: a process in a session of its own",
    "bomb: a daemon",
    "bomb: one large file",
    "bomb: a sum of two hundred thousand",
    "spy: the environment",
    "smuggled: a plugin by the environment",
    "notebook: deep JSON",
    "forbidden: by a built string",
    "cost: the counter patched",
    "cost: modes popped while it wastes",
)
