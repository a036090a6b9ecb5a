"""A master is read again at a start when a file of it may have changed since its last good check."""

import json
import os
import shutil
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt
from skinnybox.masters import checked
from skinnybox.masters.catalogue import folder
from skinnybox.model import ImageKind, Master
from skinnybox.operation import Operation

pytestmark = pytest.mark.image

FILES = ("kernel", "initrd", "root.erofs")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "masters"


@pytest.fixture
def master(store: Path, tmp_path: Path) -> Master:
    from skinnybox.masters.imports import import_tree

    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text('PRETTY_NAME="Tiny"\n')
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    return import_tree(
        tree, store=store, name="tiny", version="1", as_is=True, kernel=tmp_path / "kernel",
        initrd=tmp_path / "initrd", operation=Operation(), allow_foreign=True, dax=True,
    )  # fmt: skip


def flip(path: Path) -> None:
    """One bit, with size and mtime as before."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)[0]
        file.seek(before.st_size // 2)
        file.write(bytes([byte ^ 4]))
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_found_and_named(store: Path, master: Master, tmp_path: Path, name: str) -> None:
    marks = tmp_path / "verified" / "marks.json"
    checked.ensure(store, master, FILES, marks)
    flip(folder(store, master) / name)
    for _ in range(2):
        with pytest.raises(Corrupt, match=f"tiny:1 is damaged: .*/{name}") as caught:
            checked.ensure(store, master, FILES, marks)
        assert caught.value.hint
    flip(folder(store, master) / name)
    checked.ensure(store, master, FILES, marks)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_is_named(store: Path, master: Master, tmp_path: Path, name: str) -> None:
    (folder(store, master) / name).unlink()
    with pytest.raises(Corrupt, match=f"/{name} is missing"):
        checked.ensure(store, master, FILES, tmp_path / "marks.json")


def test_what_has_not_changed_is_not_read_again(
    store: Path, master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks, read = tmp_path / "marks.json", []
    monkeypatch.setattr(checked, "_verify", lambda path, master: read.append(path.name))
    checked.ensure(store, master, FILES, marks)
    assert sorted(read) == sorted(FILES)
    checked.ensure(store, master, FILES, marks)
    assert len(read) == 3
    image = master.image_of(ImageKind.EROFS_PLAIN)
    assert image is not None
    checked.ensure(store, master, [*FILES, image.file], marks)
    assert read[3:] == [image.file]
    fresh = folder(store, master) / "kernel"
    shutil.copy2(fresh, tmp_path / "copy")
    (tmp_path / "copy").replace(fresh)
    checked.ensure(store, master, FILES, marks)
    assert read[4:] == ["kernel"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kernel": [1, 2]}'])
def test_damaged_marks_only_mean_another_check(
    store: Path, master: Master, tmp_path: Path, text: str
) -> None:
    marks = tmp_path / "marks.json"
    marks.write_text(text)
    checked.ensure(store, master, FILES, marks)
    assert set(json.loads(marks.read_text())) == set(FILES)


def test_what_was_verified_is_not_read_again_at_the_start(
    store: Path, master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked.note(store, master, tmp_path / "marks.json")
    monkeypatch.setattr(checked, "_verify", lambda path, master: pytest.fail(f"{path} is read"))
    checked.ensure(store, master, FILES, tmp_path / "marks.json")
