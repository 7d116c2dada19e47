"""What in a cell is IPython's and not Python's: its magics, shell lines and questions.

A magic that runs Python (``%time x = f(y)``, ``%%capture``) counts as what it runs. Any other is
left out, and told. Lines keep their numbers.
"""

import ast
import re
import warnings

RUN_THEIR_BODY = ("%%time", "%%capture", "%%prun", "%%memit", "%%debug")
_RUN_THEIR_LINE = ("%time", "%prun", "%memit")
_UNTOLD = ("%matplotlib", "%load_ext", "%autoreload", "%config", "?")  # change no name's meaning

# a magic or a shell line, continued by backslashes; x = !ls or x = %magic; name? and name??
_MAGIC = re.compile(
    r"^([ \t]*)((?:[%!?]|\w+[ \t]*=[ \t]*[%!])(?:.*\\\n)*.*|\w[\w.]*\?{1,2}[ \t]*)$", re.MULTILINE
)
_ASSIGNED = re.compile(r"(\w+[ \t]*=[ \t]*)([%!].*)", re.DOTALL)
# what Colab makes of magics where it writes a .py: comments, which can leave a block empty
_COMMENTED = re.compile(r"[ \t]*#[ \t]*([%!]|Commented out IPython magic)")
# and of a whole cell under a magic: the magic, then the cell's lines
_COMMENTED_CELL = re.compile(
    r"^# Commented out IPython magic.*\n# ?(%%\w+).*\n((?:#.*(?:\n|\Z))+)", re.MULTILINE
)


def parses(source: str) -> bool:
    """Is this Python as it stands?"""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def to_python(source: str, script: bool = False) -> tuple[str, list[str]]:
    """The Python of a cell, line for line, and what was left out of it.

    Source that is Python as it stands is left alone: in it a line may well begin with ``%``. In a
    `script`, a block in which a download left only a commented magic is passed over, and a cell
    that it made comments of, for the magic above it, is Python again.
    """
    if script:
        source = _COMMENTED_CELL.sub(_cell_again, source)
    if parses(source):
        return source, []
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%") and not script:
        name = first.split()[0]
        if name not in RUN_THEIR_BODY:
            return "", [name]
        source = "\n" * (1 + source[: -len(source.lstrip())].count("\n")) + rest
    left_out: list[str] = []

    def replace(found: re.Match[str]) -> str:
        python = _python_of(found[2], left_out)
        return found[1] + python + "\n" * (found[2].count("\n") - python.count("\n"))

    source = _MAGIC.sub(replace, source)
    return (_filled(source) if script else source), left_out


def _python_of(line: str, left_out: list[str]) -> str:
    """What a magic line runs: its Python where it has some, and otherwise nothing."""
    assigned = _ASSIGNED.fullmatch(line)
    target, magic = (assigned[1], assigned[2]) if assigned else ("", line)
    name, _, rest = magic.partition(" ")
    if name in _RUN_THEIR_LINE and rest and parses(target + rest.strip()):
        return target + rest.strip()
    if magic.startswith("!"):
        name = f"!{(magic.lstrip('!').split() or [''])[0]}"
    if not (name.startswith(_UNTOLD) or name.endswith("?") or "attncourse" in magic):
        left_out.append(name)
    if target:
        return target + ("[]" if magic.startswith("!") else "None")
    return "pass"


def _cell_again(found: re.Match[str]) -> str:
    """The lines of a cell that was made comments, if its magic runs them and they are Python."""
    body = re.sub(r"^# ?", "", found[2], flags=re.MULTILINE)
    runs = found[1] in RUN_THEIR_BODY and parses(body)
    return f"#\n#\n{body}" if runs else found[0]


def _filled(source: str) -> str:
    """The source, with a ``pass`` where a block holds nothing but a commented magic."""
    lines = source.split("\n")
    for _ in range(len(lines)):
        try:
            ast.parse("\n".join(lines))
            break
        except IndentationError as error:
            empty = _commented_before(lines, (error.lineno or 0) - 1)
            header = re.search(r"on line (\d+)", str(error.msg))
            if empty is None or header is None:
                break
            opening = lines[int(header[1]) - 1]
            lines[empty] = opening[: len(opening) - len(opening.lstrip())] + "    pass"
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            break
    return "\n".join(lines)


def _commented_before(lines: list[str], end: int) -> int | None:
    """The last line before this one that is a commented magic, with only comments between."""
    for number in range(min(end, len(lines)) - 1, -1, -1):
        if _COMMENTED.match(lines[number]):
            return number
        if lines[number].strip() and not lines[number].lstrip().startswith("#"):
            return None
    return None
