"""The book's contents: every part, its pages and their titles, in order; the one place that says.

A chapter (a page of a numbered part) has its exercises in ``attncourse/exercises/<slug>/``, with
underscores for hyphens, and the page ``book/<slug>``. What is not written yet may stand here: it
shows nowhere until it has a page or exercises.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = "intro"


@dataclass(frozen=True)
class Part:
    """A part of the book: its pages by slug, each with its title."""

    title: str
    pages: dict[str, str]
    numbered: bool = True


PARTS = (
    Part("Start here", {"setup": "Set-up", "notation": "Notation"}, numbered=False),
    Part(
        "Concepts",
        {
            "weighted-mean": "Attention as a query-dependent weighted mean",
            "scores-and-scaling": "Scores, softmax and scaling",
            "masks": "Masks and numerical safety",
            "self-and-cross": "Self-attention and cross-attention",
            "multi-head": "Multi-head attention",
            "positions": "Position information",
            "transformer": "Blocks, encoder and decoder",
        },
    ),
    Part(
        "Mathematics and cost",
        {
            "cost": "Counting FLOPs, memory and parameters",
            "gradients": "Gradients, saturation and rank",
            "online-softmax": "Exact attention in tiles",
        },
    ),
    Part(
        "Efficient attention",
        {
            "sparse-patterns": "Windows, blocks, strides and global tokens",
            "sparse-content": "Sparse attention chosen by content",
            "low-rank": "Low-rank attention",
            "linear": "Linear attention",
            "random-features": "Performer",
            "sharing-and-fusion": "Sharing and fusion",
            "serving": "Serving: caches, decoding, quantisation",
        },
    ),
    Part("All of them at once", {"side-by-side": "Side by side"}, numbered=False),
    Part(
        "On the GPU",
        {
            "timing": "How to time a GPU",
            "scaling-study": "A scaling study",
            "kernels": "Kernels",
        },
    ),
    Part(
        "Models and applications",
        {
            "models-in-miniature": "Models in miniature",
            "generation": "Generation",
            "language": "Language",
            "vision-speech-multimodal": "Vision, speech and several senses",
            "evaluation-and-interpretability": "Evaluation and interpretability",
        },
    ),
    Part(
        "Interviews",
        {
            "debugging-clinic": "A debugging clinic",
            "interview-questions": "Interview questions",
            "interview-coding": "Programming problems",
        },
    ),
    Part(
        "Teaching",
        {
            "grading-a-class": "Grading a class",
            "red-team": "What was tried against the grader",
        },
        numbered=False,
    ),
    Part(
        "Appendices",
        {
            "faq": "Questions and answers",
            "errata": "What the articles say",
            "evidence": "The evidence",
            "environment": "The environment",
            "sources": "Sources",
            "glossary": "Glossary",
            "references": "References",
        },
        numbered=False,
    ),
)

TITLES = {slug: title for part in PARTS for slug, title in part.pages.items()}
CHAPTERS = {slug: title for part in PARTS if part.numbered for slug, title in part.pages.items()}

UNGRADED = {  # chapters without exercises, and why
    "interview-questions": "its questions are graded by the page and by `attncourse quiz`",
}


def page(root: Path, slug: str) -> Path | None:
    """The file of a page in a checkout, if it is written."""
    files = [root / "book" / f"{slug}{kind}" for kind in (".ipynb", ".md")]
    return next((path for path in files if path.is_file()), None)


def toc(root: Path) -> str:
    """The text of ``_toc.yml``: the pages that are written, part by part."""
    lines = ["# Written by `attncourse build` from attncourse/course/contents.py; edit it there."]
    lines += ["format: jb-book", f"root: book/{ROOT}", "parts:"]
    for part in PARTS:
        written = [slug for slug in part.pages if page(root, slug)]
        if written:
            lines += [f"  - caption: {part.title}", *["    numbered: 1"] * part.numbered]
            lines += ["    chapters:", *(f"      - file: book/{slug}" for slug in written)]
    return "\n".join(lines) + "\n"
