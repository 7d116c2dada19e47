"""Formulas as MathML: what stands in chapters can be set, and letters have their roles' colours."""

import re
import sys
from pathlib import Path

import pytest
from math_core import LatexError

from attncourse.course.prose import markdown, read_as_markdown
from attncourse.plots.dark import dark
from attncourse.plots.style import ROLES
from pages import PAGES, ROOT, source

sys.path.insert(0, str(ROOT / "book" / "_ext"))

import formulas

FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+?)\$|^```\{math\}\n(.+?)^```", re.S | re.M)

# what a chapter may write
TEX = (
    r"\operatorname{softmax}\left(\frac{QK^\top}{\sqrt{d}}\right) V",
    r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
    r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \begin{bmatrix} 1 \\ 2 \end{bmatrix}",
    r"\left(\begin{smallmatrix} 1 & -1 \\ -1 & 1 \end{smallmatrix}\right)",
    r"\begin{cases} 0 & i < j \\ -\infty & \text{otherwise} \end{cases}",
    r"\boxed{e^{-\lVert x \rVert^2 / 2}}",
    r"\textstyle\sum_i x_i, \quad \tfrac12, \quad \dfrac12",
    r"\underbrace{QK^\top}_{\text{scores}} \overset{!}{=} S",
    r"\mathbb{R}^{n \times d}, \mathbf{1}, \mathcal{O}(n), \boldsymbol{q}, \mathrm{Var}",
    r"\operatorname*{arg\,max}_j s_j \ge 10{,}000 \bigl(\alpha, \tau, \partial\bigr)",
    r"a = b \\ c = d",
)


def roles(tex: str) -> dict[str, str]:
    """The coloured letters of a formula."""
    html = formulas.mathml(tex, display=False)
    found = re.findall(r'class="role-(\w+)">(\w)', html)
    return {letter: role for role, letter in found}


@pytest.mark.parametrize("page", PAGES)
def test_every_formula_of_a_page_can_be_set(page: str) -> None:
    for found in FORMULA.finditer(read_as_markdown(markdown(source(page)))):
        assert "<math" in formulas.mathml(next(filter(None, found.groups())), display=True)


@pytest.mark.parametrize("tex", TEX)
def test_what_a_chapter_may_write_can_be_set(tex: str) -> None:
    html = formulas.mathml(tex, display=True)
    assert "<math" in html
    assert "\\" not in html


def test_what_cannot_be_set_is_told() -> None:
    with pytest.raises(LatexError, match="nonsense"):
        formulas.mathml(r"\nonsense{x}", display=True)


def test_rows_stand_below_each_other() -> None:
    assert formulas.mathml(TEX[1], display=True).count("<mtr>") == 2
    assert formulas.mathml(TEX[-1], display=True).count("<mtr>") == 2


def test_letters_of_attention_have_the_colours_of_their_roles() -> None:
    vectors = {"q": "query", "k": "key", "v": "value"}
    assert roles(r"s_{ij} = q_i \cdot k_j") == {"s": "score", "q": "query", "k": "key"}
    assert roles(r"\sum_j w_{ij} v_j") == {"w": "weight", "v": "value"}
    assert roles(r"S = Q K^\top / \sqrt d") == {"S": "score", "Q": "query", "K": "key"}
    assert roles(r"Z = W V") == {"W": "weight", "V": "value"}
    assert roles(r"W = \operatorname{softmax}(S)") == {"W": "weight", "S": "score"}
    assert roles(r"q \cdot k, v") == vectors
    assert roles(r"\operatorname{lookup}(Q, K, V)") == {k.upper(): v for k, v in vectors.items()}


def test_other_letters_and_indices_have_none() -> None:
    assert roles(r"d_k = 64, \quad k = 3, \quad w = 128, \quad \sum_k x_k") == {}
    assert roles(r"X W_q") == {}
    assert roles(r"Q = X W_q") == {"Q": "query"}
    assert roles(r"\mathrm{K}") == {}


def test_a_formula_that_its_author_coloured_is_left_alone() -> None:
    html = formulas.mathml(r"\textcolor{red}{A} = q_i \cdot k_j", display=False)
    assert "role-" not in html


def test_parts_of_a_formula_may_stand_below_each_other() -> None:
    tex = r"a = b, \qquad c = \left( d \quad e \right) \quad \begin{matrix} 1 \quad 2 \end{matrix}"
    assert formulas.parts(tex) == [
        "a = b,",
        r"c = \left( d \quad e \right)",
        r"\begin{matrix} 1 \quad 2 \end{matrix}",
    ]
    assert formulas.mathml(tex, display=True).count("<math ") == 3
    assert formulas.mathml(r"a \quad b", display=False).count("<math>") == 1


def test_the_face_has_its_licence_beside_it() -> None:
    folder = Path(ROOT, "book", "_static", "fonts")
    assert "SIL OPEN FONT LICENSE" in (folder / "LICENSE.txt").read_text(encoding="utf-8").upper()


def test_the_roles_have_the_same_colours_in_formulas_as_in_figures() -> None:
    css = (ROOT / "book/_static/roles.css").read_text(encoding="utf-8")
    for name, colour in ROLES.items():
        assert re.findall(rf"--role-{name}: (#\w+);", css) == [colour, dark(colour)]
