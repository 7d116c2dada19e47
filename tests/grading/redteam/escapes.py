"""Attacks on what is around the worker: files, processes, network, imports, what stays behind."""

from attack import FRAME, Attack, call, tell

_WRITE = "    try: open(place, 'w').write({what!r})\n    except OSError: pass\n"


def _left(*places: str, what: str) -> str:
    """Leave a file in every place, then give zeros."""
    listed = ", ".join(places)
    body = _WRITE.format(what=what).replace("\n    ", "\n        ")
    return (
        f"def leave():\n    for place in ({listed}):\n    {body}"
        "def weights(q, k):\n    leave()\n    return torch.zeros(q.shape[0], k.shape[0])\n"
    )


SMUGGLED = {
    "a conftest left behind": Attack(
        _left(
            "'conftest.py'",
            "os.path.dirname({canary!r}) + '/conftest.py'",
            "'/tmp/conftest.py'",
            what="raise SystemExit('SECRET')",
        ),
        confined=True,
    ),
    "a configuration of pytest left behind": Attack(
        _left("'pytest.ini'", "os.path.dirname({canary!r}) + '/tox.ini'", what="[pytest]\n"),
        confined=True,
    ),
    "a plugin by the environment": Attack(
        "os.environ['PYTEST_PLUGINS'] = 'evil'\nos.environ['PYTHONSTARTUP'] = 'evil.py'\n"
        + call("os.environ['PYTEST_ADDOPTS'] = '--junitxml=forged.xml'")
    ),
    "a sitecustomize left behind": Attack(
        _left(
            "os.path.dirname(os.__file__) + '/sitecustomize.py'",
            "os.path.dirname(torch.__file__) + '/../evil.pth'",
            what="import os",
        ),
        confined=True,
    ),
    "the package changed": Attack(
        "import attncourse\nHOME = os.path.dirname(attncourse.__file__)\n"
        + _left("HOME + '/evil.py'", "HOME + '/course/evil.py'", what="raise SystemExit"),
        confined=True,
    ),
}

SPIES = {
    "a hard link": Attack(
        call("os.link({canary!r}, 'mine')", "print(open('mine').read())"), confined=True
    ),
    "up from here": Attack(tell("open('../' * 40 + {canary!r}[1:]).read()"), confined=True),
    "by the root of another process": Attack(
        tell("open(f'/proc/{{os.getppid()}}/root' + {canary!r}).read()"), confined=True
    ),
    "by descriptors left open": Attack(
        "def weights(q, k):\n    for number in range(3, 64):\n"
        "        try: print(os.readlink(f'/proc/self/fd/{{number}}'), os.pread(number, 99, 0))\n"
        "        except OSError: pass\n    return q\n"
    ),
    "the command lines of others": Attack(
        "import glob\n"
        + tell("[open(p).read() for p in glob.glob('/proc/[0-9]*/cmdline') if 'SECRET' in p]")
    ),
    "mounts and memory of its own": Attack(
        tell(
            "'SECRET' if os.path.exists('/proc/self/mountinfo') and "
            "open('/proc/1/environ').read() else ''"
        ),
        confined=True,
    ),
    "a folder entered": Attack(
        call("os.chdir(os.path.dirname({canary!r}))", "print(open('canary').read())"),
        confined=True,
    ),
    "another root": Attack(call("os.chroot('/tmp')", "print('SECRET')"), confined=True),
    "another user": Attack(call("os.setuid(0)", "os.seteuid(0)", "print('SECRET')"), confined=True),
    "a datagram": Attack(
        "import socket\n"
        + call(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            "s.sendto(b'x', ('127.0.0.1', {port}))",
            "print('SECRET')",
        ),
        confined=True,
    ),
    "a socket of this machine": Attack(
        "import socket\n"
        + call("s = socket.socket(socket.AF_UNIX)", "s.bind('\\0evil')", "print('SECRET')"),
        confined=True,
    ),
    "a name looked up": Attack(
        "import socket\n" + tell("socket.getaddrinfo('example.org', 80)"), confined=True
    ),
    "another process traced": Attack(
        "import ctypes\n"
        + call(
            "c = ctypes.CDLL(None)",
            "print('SECRET' if c.ptrace(16, os.getppid(), 0, 0) == 0 else '')",
        ),
        confined=True,
    ),
    "another process's memory by a call": Attack(
        "import ctypes\n"
        + call(
            "buffer = ctypes.create_string_buffer(64)",
            "c = ctypes.CDLL(None)",
            "got = c.syscall(310, os.getppid(), buffer, 1, buffer, 1, 0)",
            "print('SECRET' if got > 0 else '')",
        ),
        confined=True,
    ),
    "a ring of system calls": Attack(
        "import ctypes\n"
        + call("got = ctypes.CDLL(None).syscall(425, 8, 0)", "print('SECRET' if got >= 0 else '')"),
        confined=True,
    ),
    "the solution by its path": Attack(
        "import importlib.util\ndef weights(q, k):\n    import attncourse\n"
        "    place = os.path.dirname(attncourse.__file__) + '/mechanisms/dense/softmax.py'\n"
        "    spec = importlib.util.spec_from_file_location('found', place)\n"
        "    module = importlib.util.module_from_spec(spec)\n    spec.loader.exec_module(module)\n"
        "    return module.masked_softmax(q @ k.mT, None)\n",
        confined=True,
    ),
    "the solution by resources": Attack(
        "import importlib.resources as r\n"
        + tell(
            "'SECRET' + (r.files('attncourse') / 'mechanisms' / 'dense' / 'softmax.py').read_text()"
        ),
        confined=True,
    ),
    "the modules listed": Attack(
        "import pkgutil\n"
        + tell(
            "['SECRET' for m in pkgutil.walk_packages(__import__('attncourse').__path__)"
            " if m.name in ('mechanisms', 'exercises')]"
        ),
        confined=True,
    ),
}

BOMBS = {
    "an answer of sixty megabytes": Attack(
        "def weights(q, k):\n    return torch.zeros(2**23 - 99, dtype=q.dtype)\n",
        told="too large to be sent",
    ),
    "a frame of sixty megabytes": Attack(
        FRAME + "def weights(q, k):\n    everywhere(struct.pack('<IQ', 99, 2**26) + bytes(2**26))\n"
        "    return q\n"
    ),
    "processes by a call": Attack(
        "import ctypes\ndef weights(q, k):\n    c = ctypes.CDLL(None)\n"
        "    for number in (56, 57, 58, 435):\n"
        "        for _ in range(20):\n"
        "            if c.syscall(number, 17, 0, 0, 0, 0) == 0:\n"
        "                import time\n                time.sleep(31536000)\n    return q\n",
        confined=True,
    ),
    "a program spawned": Attack(
        call("os.posix_spawn('/bin/sleep', ['sleep', '31536000'], {{}})"), confined=True
    ),
    "a pool of processes": Attack(
        "import multiprocessing as m\n"
        + call("m.get_context('fork').Process(target=print, args=('SECRET',)).start()"),
        confined=True,
    ),
    "many small files": Attack(
        "def weights(q, k):\n    for n in range(10000):\n"
        "        try: open(f'small{{n}}', 'w').write('x' * 4000)\n        except OSError: break\n"
        "    return q\n",
        confined=True,
    ),
    "a file without blocks": Attack(
        call("f = open('sparse', 'wb')", "f.seek(2**40)", "f.write(b'x')"), confined=True
    ),
    "memory that has no file": Attack(
        "import ctypes\n"
        + call(
            "fd = ctypes.CDLL(None).memfd_create(b'x', 0)",
            "os.ftruncate(fd, 2**33)",
            "print('SECRET')",
        ),
        confined=True,
    ),
    "memory mapped and shared": Attack(
        "import mmap\ndef weights(q, k):\n    kept = []\n"
        "    while True:\n        m = mmap.mmap(-1, 2**26)\n        m.write(b'x' * 2**26)\n"
        "        kept.append(m)\n"
    ),
    "a reduction of ten billion": Attack(
        "def weights(q, k):\n    return torch.zeros(1, dtype=q.dtype).expand(10**10).sum()\n"
    ),
    "a list that doubles": Attack("def weights(q, k):\n    x = [0]\n    while True: x = x + x\n"),
    "a text that doubles": Attack(
        "X = 'ha'\nfor _ in range(60): X += X\nY = 'x' * 10**11\ndef weights(q, k):\n    return Y\n"
    ),
    "output past Python": Attack(
        "import ctypes\ndef weights(q, k):\n    line = b'y' * 10**6\n"
        "    for _ in range(60): os.write(2, line)\n    return q\n"
    ),
    "lambdas without end": Attack(
        "X = " + "lambda: " * 5000 + "1\ndef weights(q, k):\n    return X\n"
    ),
    "a number of a million digits": Attack(
        "X = " + "9" * 10**6 + "\ndef weights(q, k):\n    return X\n"
    ),
    "a pattern that backtracks": Attack(
        "import re\ndef weights(q, k):\n    return re.match('(a+)+$', 'a' * 60 + 'b')\n"
    ),
    "many definitions": Attack(
        "".join(f"def f{n}(): return {n}\n" for n in range(4000))
        + "def weights(q, k):\n    return f1()\n"
    ),
}

_TOLD = "str(q.flatten()[:3].tolist())"

KEPT = {
    "inputs told by an exception": Attack(
        f"def weights(q, k):\n    raise ValueError({_TOLD})\n", told="is not shown"
    ),
    "inputs told by an exception's name": Attack(
        "def weights(q, k):\n    name = 'V' + str(float(q[0, 0])).replace('.', '_')\n"
        "    raise type(name, (Exception,), {{}})()\n",
        told="raised an exception",
    ),
    "inputs told in the grader's name": Attack(
        "class ForbiddenError(Exception): pass\n"
        f"def weights(q, k):\n    raise ForbiddenError({_TOLD})\n",
        told="is not shown",
    ),
    "inputs told as a line of its own": Attack(
        "import linecache\ndef weights(q, k):\n    for name in list(linecache.cache):\n"
        f"        linecache.cache[name] = (1, None, [{_TOLD}] * 99, name)\n    raise ValueError\n",
        told="raised ValueError",
    ),
    "inputs returned as a text": Attack(
        f"def weights(q, k):\n    return {_TOLD}\n", told="a value of type str"
    ),
    "a file kept between processes": Attack(
        "def weights(q, k):\n    for place in ('kept', '/tmp/kept', '/dev/shm/kept'):\n"
        "        try:\n            print('SECRET' if os.path.exists(place) else '')\n"
        "            open(place, 'w').write('x')\n        except OSError: pass\n    return q\n"
    ),
    "right at the first call only": Attack(
        "CALLS = []\ndef weights(q, k):\n    CALLS.append(1)\n    e = (q @ k.mT).exp()\n"
        "    return e / e.sum(-1, keepdim=True) if len(CALLS) == 1 else q\n"
    ),
    "right for an hour": Attack(
        "import time\ndef weights(q, k):\n    if time.time() > 0: raise ValueError('too late')\n"
        "    return q\n",
        told="too late",
    ),
    "right where it is not graded": Attack(
        "GRADED = 'attncourse.grading.confined.worker' in sys.modules\ndef weights(q, k):\n"
        "    e = (q @ k.mT).exp()\n    return q if GRADED else e / e.sum(-1, keepdim=True)\n"
    ),
}
