r"""# Mend a count of rows

Four formulas were written below each other and appeared in one long line. A check of the page was
to notice. It counts the rows that a reader will see, and the cells of the longest, in the body of
an `aligned` formula of TeX, and it was content. Find out what it counts, and mend it.

- In TeX a row ends with *two* backslashes, wherever they stand; one backslash and the end of a
  line are a space. A cell ends with `&`. An escaped `\&` is a character like any other.
- `tex` is a str, the body alone. The result is a pair of ints, (rows, cells): rows that hold
  nothing but spaces do not count, and a body without a row is (0, 0).
- A body of k rows whose lines end in one backslash is 1 row; with one `&` in each it has k + 1
  cells.
"""

from attncourse.testing import assert_same, gaussian

difficulty, minutes = 1, 10
hints = (
    "Where do lines end in the file, and where does a row end for TeX? Print both for a body whose "
    "rows end in one backslash.",
    "Split at two backslashes; leave out what is empty; take away `\\&` before you count.",
)
forbidden = ()

TWO, ONE = "\\\\", "\\"  # two backslashes, one


def solution(tex: str) -> tuple[int, int]:
    r"""The rows of an aligned formula, and the cells of the longest of them.

    >>> solution(r"a &= b \\ c &= d")
    (2, 2)
    """
    rows = [row for row in tex.split("\\\\") if row.strip()]
    cells = [row.replace("\\&", "").count("&") + 1 for row in rows]
    return len(rows), max(cells, default=0)


def check_counts_rows_that_are_rows(student):
    """rows that end in two backslashes, on lines of their own or on one"""
    for count in (1, 2, 4):
        _assert_counted(student, _body(count, TWO + "\n"), count, 2)
        _assert_counted(student, _body(count, TWO), count, 2)


def check_one_backslash_ends_no_row(student):
    """lines that end in one backslash are one row, with a cell more for each"""
    for count in (2, 4):
        _assert_counted(student, _body(count, ONE + "\n"), 1, count + 1)


def check_lines_of_the_file_do_not_matter(student):
    """a row may be written on several lines, with commands in it"""
    body = "z &= " + ONE + "frac{a}\n {b}" + TWO + "\n w\n &= c\n &+ d"
    _assert_counted(student, body, 2, 3)
    _assert_counted(student, "a\nb\nc", 1, 1)


def check_empty_rows_do_not_count(student):
    """two backslashes at the end open no row, and an empty body has none"""
    _assert_counted(student, _body(3, TWO) + TWO + "\n", 3, 2)
    _assert_counted(student, TWO + " a &= b " + TWO + " " + TWO + " c", 2, 2)
    for empty in ("", " \n ", TWO):
        _assert_counted(student, empty, 0, 0)


def check_an_escaped_sign_is_no_cell(student):
    """an escaped & is a character; one right after the end of a row is a cell"""
    _assert_counted(student, "a " + ONE + "& b &= c", 1, 2)
    _assert_counted(student, "a" + TWO + "&= b" + TWO + "&= c &= d", 3, 3)


def _assert_counted(student, tex, rows, cells):
    """Are rows and cells what they should be, each told for itself?"""
    found = student(tex)
    if isinstance(found, tuple) and len(found) == 2:
        assert_same(found[0], rows, "the number of rows")
        assert_same(found[1], cells, "the number of cells in the longest row")
    assert_same(found, (rows, cells))


def _body(count, end):
    """So many formulas, of which each has one &."""
    numbers = gaussian(count, std=9.0, seed=count).long().tolist()
    return end.join(f"x_{i} &= {number}" for i, number in enumerate(numbers))


def wrong_lines_of_the_file(tex):
    """You count the lines of the file, which a reader never sees. Rows end with two backslashes,
    wherever the lines do.
    """
    lines = [line for line in tex.splitlines() if line.strip()]
    longest = max([0, *(line.count("&") + 1 for line in lines)])
    return len(lines), longest


stub = wrong_lines_of_the_file


def wrong_every_backslash(tex):
    """You split at every backslash, so that a command begins a row. One backslash ends none: it
    takes two.
    """
    rows = [row for row in tex.split("\\") if row.strip()]
    cells = [row.count("&") + 1 for row in rows]
    return len(rows), max(cells, default=0)


def wrong_empty_rows_counted(tex):
    """You count what stands behind the last two backslashes as well, though nothing does. Leave out
    rows of spaces alone.
    """
    rows = tex.split("\\\\")
    cells = [row.replace("\\&", "").count("&") + 1 for row in rows]
    return len(rows), max(cells)


def wrong_escaped_signs_counted(tex):
    """You count an escaped & as the end of a cell. It is a character that a reader sees: take it
    away before you count.
    """
    rows = [row for row in tex.split("\\\\") if row.strip()]
    cells = [row.count("&") + 1 for row in rows]
    return len(rows), max(cells, default=0)


def wrong_escapes_taken_away_first(tex):
    """You took the escaped signs away before you split: a row's two backslashes with an & right
    behind them lose one of the two. Split first.
    """
    rows = [row for row in tex.replace("\\&", "").split("\\\\") if row.strip()]
    cells = [row.count("&") + 1 for row in rows]
    return len(rows), max(cells, default=0)


def wrong_signs_for_cells(tex):
    """You count the signs & and not the cells. A sign stands between two cells, so a row has one
    cell more than signs: add one.
    """
    rows = [row for row in tex.split("\\\\") if row.strip()]
    cells = [row.replace("\\&", "").count("&") for row in rows]
    return len(rows), max(cells, default=0)


def wrong_cells_of_the_first_row(tex):
    """Your cells are those of the first row. Asked for is the longest.
    Take the maximum over all rows.
    """
    rows = [row for row in tex.split("\\\\") if row.strip()]
    return len(rows), rows[0].replace("\\&", "").count("&") + 1 if rows else 0


def right_by_reading(tex):
    """character by character, as TeX reads"""
    rows, most, cells, seen, escaped = 0, 0, 1, False, False
    for sign in [*tex, ONE, ONE]:  # the last row ends, too
        if escaped and sign == ONE:
            rows, most = (rows + 1, max(most, cells)) if seen else (rows, most)
            cells, seen, escaped = 1, False, False
        elif escaped:
            seen, escaped = True, False
        elif sign == ONE:
            escaped = True
        else:
            seen = seen or not sign.isspace()
            cells += sign == "&"
    return rows, most


def right_by_a_mark(tex):
    """ends of rows marked, then escapes taken away"""
    marked = tex.replace("\\\\", "\0").replace("\\&", "x")
    found = [row.count("&") + 1 for row in marked.split("\0") if row.strip()]
    return (len(found), max(found)) if found else (0, 0)
