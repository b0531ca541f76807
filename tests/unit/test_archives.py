"""Data files however they are packed: the same bytes, damage told with the file's name."""

import gzip
import zipfile

import pytest

from multistage.data.packed import open_binary, open_text
from multistage.jobs.errors import InputError

TEXT = "".join(f"{row}\tpassage {row}: Île-de-France\r\n" if row % 7 else f"{row}\t\n" for row in range(40_000))


def pack(path, content, kind):
    """Write a file packed as `kind`, under a name that says nothing."""
    if kind == "plain":
        path.write_bytes(content)
    elif kind == "gzip":
        path.write_bytes(gzip.compress(content))
    elif kind == "two gzip members":
        path.write_bytes(gzip.compress(content[: len(content) // 2]) + gzip.compress(content[len(content) // 2 :]))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data/", "")
            archive.writestr("__MACOSX/data/._lines.tsv", "resource fork")
            archive.writestr("data/lines.tsv", content)


@pytest.mark.parametrize("kind", ["plain", "gzip", "two gzip members", "zip"])
def test_lines_are_the_same_however_they_are_packed(tmp_path, kind):
    path = tmp_path / "data.bin"
    pack(path, TEXT.encode(), kind)
    with open_text(path) as lines:
        assert list(lines) == TEXT.splitlines(keepends=True) == [line + "\n" for line in TEXT.split("\n")[:-1]]
    with open_binary(path) as stream:
        assert stream.read(5) == TEXT.encode()[:5] and stream.read() == TEXT.encode()[5:]
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.bin"]


@pytest.mark.parametrize("kind", ["gzip", "zip"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damage_is_told_with_the_name_of_the_file(tmp_path, kind, damage):
    path = tmp_path / "data.bin"
    pack(path, TEXT.encode(), kind)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(path.read_bytes()[: len(content) // 2] if damage == "truncated" else content)
    with pytest.raises(InputError, match=r"data\.bin: the archive is damaged"), open_binary(path) as stream:
        stream.read()


def test_a_wrong_checksum_in_a_zip_is_found(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("lines.tsv", TEXT)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"passage 78:", b"passage 79:"))
    with pytest.raises(InputError, match=r"data\.zip: the archive is damaged \(Bad CRC-32"), open_text(path) as lines:
        list(lines)


def test_a_zip_holds_one_file_or_names_it(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.tsv", "a\n")
        archive.writestr("b.tsv", "b\n")
    with pytest.raises(InputError, match=r"expected one data file in this zip, found 2 files: a\.tsv, b\.tsv"), open_text(path):
        pass
    with open_text(path, member="b.tsv") as lines:
        assert list(lines) == ["b\n"]
    with pytest.raises(InputError, match=r"expected the file c\.tsv"), open_text(path, member="c.tsv"):
        pass
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/", "")
    with pytest.raises(InputError, match="expected one data file in this zip, found 0 files"), open_text(path):
        pass


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"), open_text(tmp_path / "absent"):
        pass
    plain = tmp_path / "plain"
    plain.write_bytes("Île".encode("latin-1"))
    with pytest.raises(InputError, match="plain: not UTF-8 text"), open_text(plain) as lines:
        list(lines)
    with pytest.raises(InputError, match="not a zip file"), open_text(plain, member="a.tsv"):
        pass
