"""Two files of results beside each other."""

import io
from dataclasses import replace

from rich.console import Console

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import FORMAT, Report, Row
from attncourse.measure.bench.versus import caution, pairs, versus
from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Spread


def row(mechanism="m", n=8, seconds=1.0, **changes):
    made = Row("s", mechanism, "attncourse", "forward", n, "measured", "", 2.0)
    spread = Spread(seconds, seconds, seconds)
    return replace(made, seconds=spread, ratio=spread, peak_bytes=100, **changes)


def report(*rows, **changes):
    about = replace(provenance("attncourse bench"), **changes)
    return Report(FORMAT, about, {"float32": Ceilings(1e9, 1e9)}, rows)


def text_of(a, b):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(versus(a, b))
    return console.export_text()


def test_rows_are_paired_by_all_that_names_them():
    rows = row(), row(n=16), row(dtype="bfloat16"), row(d=128), row(h=2), row(batch=2), row("x")
    a, b = report(*rows), report(*reversed(rows))
    found = list(pairs(a, b))
    assert [(pair.a, pair.b) for pair in found] == [(each, each) for each in rows]
    assert {pair.ratio() for pair in found} == {1.0}


def test_the_ratio_is_b_over_a_and_absent_where_one_was_not_measured():
    slow, failed = row(seconds=3.0), replace(row(), state="failed", seconds=None)
    [pair] = pairs(report(row()), report(slow))
    assert pair.ratio() == 3.0
    for b in (report(failed), report()):
        [pair] = pairs(report(row()), b)
        assert pair.ratio() is None


def test_what_only_one_of_them_has_is_shown():
    text = text_of(report(row("old")), report(row("new", seconds=0.002)))
    old, new = text.splitlines()[2:4]
    assert old.split()[3:] == ["old", "forward", "8", "1000", "absent"] or "absent" in old
    assert "absent" in new
    assert "2" in new


def test_a_state_stands_where_there_is_no_time():
    slow = replace(row(), state="too slow", seconds=None, ratio=None, peak_bytes=None)
    assert "too slow" in text_of(report(row()), report(slow))


def test_peaks_are_compared_too():
    text = text_of(report(row()), report(replace(row(), peak_bytes=250)))
    assert text.splitlines()[2].split()[-1] == "2.50"


def test_different_machines_get_a_word_of_caution():
    assert caution(report(row()), report(row())) == ""
    said = caution(report(device="A"), report(device="B", threads=99))
    assert "device: A and B" in said
    assert "and 99" in said
    assert said.endswith("Compare their times over the baseline, not their times.")
