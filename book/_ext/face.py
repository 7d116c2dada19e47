"""Makes the face that formulas are drawn with: the signs that chapters use, of STIX Math 1.1.

    pip install brotli
    python book/_ext/face.py STIXMath-Regular.otf

Its licence asks that what is made from it has another name.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

FACE = Path(__file__).parent.parent / "_static" / "fonts" / "formulas.woff2"
NAME = "Course Formulas"
RANGES = (
    (0x20, 0x7E),  # ASCII
    (0xA0, 0xF7),
    (0x302, 0x308),  # accents
    (0x391, 0x3F5),  # Greek
    (0x2002, 0x2063),  # spaces, points, primes, what is invisible
    (0x20D7, 0x20D7),
    (0x2102, 0x2134),  # letters that stand outside the alphabets
    (0x2190, 0x21D4),  # arrows
    (0x2200, 0x22FF),  # operators
    (0x2308, 0x230B),
    (0x239B, 0x23B5),  # pieces of tall brackets
    (0x23DE, 0x23DF),
    (0x25A1, 0x25A1),
    (0x27E8, 0x27E9),
    (0x27F5, 0x27FA),
    (0x2A7D, 0x2A7E),
    (0x1D400, 0x1D4CF),  # bold, italic, script
    (0x1D538, 0x1D56B),  # double-struck
    (0x1D6A8, 0x1D7C9),  # Greek, bold and italic
)


def make(source: Path, target: Path) -> None:
    """Write the face."""
    options = subset.Options(
        flavor="woff2", hinting=False, layout_features=["ssty", "dtls", "flac"], name_IDs=[0, 13]
    )
    font = TTFont(source)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=[code for a, b in RANGES for code in range(a, b + 1)])
    chosen.subset(font)
    for place, text in {1: NAME, 2: "Regular", 4: NAME, 6: NAME.replace(" ", "")}.items():
        font["name"].setName(text, place, 3, 1, 0x409)
    if "CFF " in font:
        font["CFF "].cff.fontNames = [NAME.replace(" ", "")]
    target.parent.mkdir(exist_ok=True)
    subset.save_font(font, str(target), options)


if __name__ == "__main__":
    make(Path(sys.argv[1]), FACE)
