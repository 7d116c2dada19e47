"""A hostile zip is refused with one sentence, before anything of it is written."""

import stat
import struct
import zipfile

import pytest

from attncourse.grading.classroom import archive
from attncourse.grading.classroom.archive import ArchiveError, unpack


def packed(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in entries:
            made.writestr(name, data)
    return path


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def device(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFCHR | 0o666) << 16
    return entry


OUT = "a.zip holds a path that leads out of its folder, and is not unpacked"
REFUSED = {
    "parent": ([("ok.py", "x"), ("../evil.py", "x")], OUT),
    "hidden parent": ([("a/../../evil.py", "x")], OUT),
    "absolute": ([("/tmp/evil.py", "x")], OUT),
    "backslashes": ([("..\\evil.py", "x")], OUT),
    "drive": ([("C:/evil.py", "x")], OUT),
    "link": ([(link("a.py"), "/etc/passwd")], "a.zip holds a link and is not unpacked"),
    "device": ([(device("a.py"), "")], "a.zip holds a special file and is not unpacked"),
    "file and folder": ([("a", "x"), ("a/b.py", "x")], None),
    "long": (
        [("x" * 5000 + ".py", "x")],
        "a.zip holds a file twice, or one whose name is too long",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_zip_that_could_do_harm_is_refused(tmp_path, kind):
    entries, sentence = REFUSED[kind]
    path = packed(tmp_path / "a.zip", entries)
    folder = tmp_path / "inside/folder"
    folder.mkdir(parents=True)
    with pytest.raises(ArchiveError) as refusal:
        unpack(path, folder)
    assert sentence in (None, str(refusal.value))
    assert {p for p in tmp_path.rglob("*") if p.is_file()} <= {path, folder / "a"}


def test_a_bomb_is_refused_by_ratio_by_size_and_by_count(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", [("a.py", b"\0" * 2**22)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ArchiveError, match=r"^a.zip unpacks to more than 200 times its size$"):
        unpack(path, tmp_path)
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 2**30)
    path = packed(tmp_path / "a.zip", [("a.py", b"\0" * 2**20)] * 1)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02")
    whole[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)  # what it says of its sizes
    path.write_bytes(whole)
    with pytest.raises(ArchiveError, match=r"^a.zip unpacks to more than 1 GiB$"):
        unpack(path, tmp_path)
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    path = packed(tmp_path / "a.zip", [(f"{i}.py", "") for i in range(4)])
    with pytest.raises(ArchiveError, match=r"^a.zip holds more than 3 files and is not unpacked$"):
        unpack(path, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip"}


def test_an_encrypted_or_damaged_zip_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", [("a.py", "hello")])
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02")
    for place in (6, at + 8):
        whole[place] |= 1
    path.write_bytes(whole)
    with pytest.raises(ArchiveError, match=r"^a.zip is encrypted: unpack it yourself, with its pa"):
        unpack(path, tmp_path / "b")
    path = packed(tmp_path / "a.zip", [("a.py", "hello")])
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))
    (tmp_path / "b").mkdir()
    with pytest.raises(ArchiveError, match=r"^a.zip cannot be unpacked: it is not a zip, or it is"):
        unpack(path, tmp_path / "b")


def test_what_is_never_looked_at_is_not_unpacked(tmp_path):
    entries = [("ada/.git/config", "x"), ("__MACOSX/a.py", "x"), (link("a/.venv/python"), "/x")]
    path = packed(tmp_path / "a.zip", [*entries, ("ada/a.py", "x"), ("ada/./b.py", "y")])
    unpack(path, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert found == {"ada/a.py", "ada/b.py", "ada/.git"}
