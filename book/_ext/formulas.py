"""Formulas are set when the site is built: as MathML, which browsers draw without a script.

A formula keeps its TeX in ``data-tex``, which ``page.js`` puts into the clipboard. The letters of
attention take the colours that they have in figures (`ROLES`); a formula with ``\\textcolor`` in it
is left as its author coloured it. What cannot be set is a warning, which fails the build.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

ROLES = {"q": "query", "k": "key", "v": "value", "s": "score", "w": "weight"}
SET = LatexToMathML()
SCRIPTED = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
INDEXED = ("msub", "msubsup")
OPENING, CLOSING = ("{", "\\begin", "\\left"), ("}", "\\end", "\\right")
SPACES = ("\\quad", "\\qquad")
VECTORS = ("query", "key", "value")
SMALL = r"(\\begin\{)smallmatrix(\}.*?\\end\{)smallmatrix(\})"


def mathml(tex: str, *, display: bool) -> str:
    r"""A formula as MathML. Raises LatexError for what is no TeX that can be set.

    Of a formula on a line of its own each part between ``\quad`` or ``\qquad`` is an element,
    which may go to the next line where a screen is narrow.

    Example::

        >>> mathml("n^2", display=False)
        '<math><msup><mi>n</mi><mn>2</mn></msup></math>'
    """
    roots = [_set(part, display) for part in (parts(tex) if display else [tex])]
    if "\\textcolor" not in tex:
        colour(roots)
    return "".join(ElementTree.tostring(root, encoding="unicode") for root in roots)


def parts(tex: str) -> list[str]:
    r"""The parts of a formula between those ``\quad`` and ``\qquad`` that no bracket holds."""
    found, depth = [""], 0
    for token in re.findall(r"\\[A-Za-z]+|\\.|[^\\]", tex, re.DOTALL):
        depth += (token in OPENING) - (token in CLOSING)
        if token in SPACES and not depth:
            found.append("")
        else:
            found[-1] += token
    return [part.strip() for part in found if part.strip()] if not depth else [tex]


def _set(tex: str, display: bool) -> ElementTree.Element:
    source = re.sub(SMALL, r"\\scriptstyle\1matrix\2matrix\3", tex.strip(), flags=re.DOTALL)
    if display and "\\\\" in source and "\\begin" not in source:
        source = rf"\begin{{aligned}}{source}\end{{aligned}}"
    source = re.sub(r"(\\(?:begin|end)\{)split\}", r"\1aligned}", source)
    text = SET.convert_with_local_state(source, displaystyle=display)
    return ElementTree.fromstring(text.replace("&ApplyFunction;", "\u2061"))


@dataclass(frozen=True)
class Letter:
    """A letter that may have a role: its element, and the letters of its index."""

    element: ElementTree.Element
    role: str
    capital: bool
    index: str

    def certain(self) -> bool:
        """Has it the role in any company: q, Q, K, V, k_j, v_j, s_ij, w_ij?"""
        counted = bool(set(self.index) & set("ijt"))
        if self.role in VECTORS:
            return self.capital or counted or self.role == "query"
        return not self.capital and counted

    def meant(self, company: set[str]) -> bool:
        """Has it the role in this company: k with q, S with Q and K or softmax, W with V?"""
        if self.role in VECTORS:
            return bool(company - {self.role, "softmax"})
        needed = {"query", "key"} if self.role == "score" else {"value"}
        beside = needed <= company or "softmax" in company
        return self.capital and not self.index and beside


def colour(roots: list[ElementTree.Element]) -> None:
    """Give queries, keys, values, scores and weights the class of their role."""
    letters = [letter for root in roots for letter in _letters(root)]
    company = {letter.role for letter in letters if letter.certain()}
    company |= {"softmax"} & {name.text for root in roots for name in root.iter("mi")}
    for letter in letters:
        if letter.certain() or letter.meant(company):
            letter.element.set("class", f"role-{letter.role}")


def _letters(node: ElementTree.Element, index: str = "") -> Iterator[Letter]:
    """The letters on the line that may have a role, each with the letters of its index."""
    text = unicodedata.normalize("NFKC", (node.text or "").strip())
    if node.tag == "mi" and node.get("mathvariant") is None and text.lower() in ROLES:
        yield Letter(node, ROLES[text.lower()], text.isupper(), index)
    children = list(node)
    if node.tag in SCRIPTED and children:
        below = "".join(children[1].itertext()) if node.tag in INDEXED else ""
        yield from _letters(children[0], unicodedata.normalize("NFKC", below))
    else:
        for child in children:
            yield from _letters(child)


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula in a line."""
    _write(translator, node, "span", display=False)
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own, with its number where it has one."""
    number = get_node_equation_number(translator, node) if node.get("number") else None
    _write(translator, node, "div", display=True, number=number)
    raise nodes.SkipNode


def _write(
    translator: Any, node: nodes.Element, tag: str, *, display: bool, number: str | None = None
) -> None:
    tex = node.astext()
    kinds = {"CLASS": "math notranslate nohighlight", "data-tex": tex.strip()}
    translator.body.append(translator.starttag(node, tag, "", **kinds))
    if number:
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    try:
        translator.body.append(mathml(tex, display=display))
    except LatexError as error:
        words = re.sub(r"\x1b\[[\d;]*m", "", str(error)).splitlines()[0]
        logging.getLogger(__name__).warning(f"the formula {tex!r}: {words}", location=node)
        translator.body.append(translator.encode(tex))
    translator.body.append(f"</{tag}>" + "\n" * display)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
