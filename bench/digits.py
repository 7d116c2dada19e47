"""The digits of scikit-learn as a text file, a line an image: class, then a sign a pixel.

    pip download scikit-learn==1.9.1 --no-deps
    python bench/digits.py scikit_learn-1.9.1-*.whl

Written is `attncourse/models/digits.txt`. The data are of the UCI Machine Learning Repository, by
E. Alpaydin and C. Kaynak 1998, licence CC BY 4.0.
"""

import argparse
import csv
import gzip
import io
import zipfile
from pathlib import Path

from attncourse.models import digits

INSIDE = "sklearn/datasets/data/digits.csv.gz"


def main() -> None:
    """Read the wheel, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel")
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:
        text = gzip.decompress(wheel.read(INSIDE)).decode("ascii")
    lines = []
    for *pixels, digit in csv.reader(io.StringIO(text)):
        lines.append(digit + "".join(digits.SHADES[int(float(pixel))] for pixel in pixels))
    Path(digits.__file__).with_name("digits.txt").write_text("\n".join(lines) + "\n", "ascii")


if __name__ == "__main__":
    main()
