"""Requirements: mkfs.erofs; root, or root of a namespace."""

import os
import tarfile
from pathlib import Path

import pytest

from skinnybox.errors import CommandFailed, Conflict, Corrupt, NotFound, Unsupported, UsageError
from skinnybox.masters import catalogue, namespace
from skinnybox.masters.build import build
from skinnybox.masters.imports import import_tree
from skinnybox.masters.index import read_index, scan
from skinnybox.masters.recipe import Recipe
from skinnybox.model import GUEST_PROTOCOL, Master
from skinnybox.operation import Operation
from tests.image.disks import CONFIGURATION

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    for name, text in (
        ("boot/vmlinuz-6.1", "kernel"), ("boot/config-6.1", CONFIGURATION), ("etc/machine-id", "0123"),
        ("usr/lib/skinnybox/protocol", f"{GUEST_PROTOCOL}\n"), ("tmp/kept", "as it is"),
    ):  # fmt: skip
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return tree


def _import(source: Path, store: Path, version: str = "1", **options: Path | bool | None) -> Master:
    chosen = {"as_is": True, "kernel": None, "initrd": None, **options}
    return import_tree(source, store=store, name="x", version=version, operation=Operation(), **chosen)  # type: ignore[arg-type]


def test_as_is_seals_every_entry_untouched(source: Path, tmp_path: Path) -> None:
    master = _import(source, tmp_path / "masters")
    index = catalogue.folder(tmp_path / "masters", master) / "index.jsonl.gz"
    assert list(read_index(index)) == list(scan(source, Operation()))
    catalogue.verify(tmp_path / "masters", master, Operation())


def test_a_directory_and_its_tar_are_one_master(source: Path, tmp_path: Path) -> None:
    # Python's tarfile rounds mtimes: let all have whole seconds.
    for entry in [source, *source.rglob("*")]:
        os.utime(entry, (1000, 1000))
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(source, ".")
    first = _import(source, tmp_path / "masters")
    assert _import(tmp_path / "t.tar", tmp_path / "masters") == first


def test_a_tree_without_a_fitting_guest_part_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "usr/lib/skinnybox/protocol").write_text("99\n")
    with pytest.raises(Unsupported, match="protocol 99"):
        _import(source, tmp_path / "masters")
    (source / "usr/lib/skinnybox/protocol").unlink()
    with pytest.raises(Unsupported, match="no guest part"):
        _import(source, tmp_path / "masters")
    assert catalogue.masters(tmp_path / "masters") == []
    assert [item.name for item in (tmp_path / "masters").iterdir()] == [".lock"]
    _import(source, tmp_path / "masters", allow_foreign=True)


@pytest.mark.parametrize(("status", "is_fit"), [("install ok installed", False), ("hold ok installed", True)])
def test_a_system_with_the_package_alone_is_not_sealed_with_its_keys(
    source: Path, tmp_path: Path, status: str, is_fit: bool
) -> None:
    database = source / "var/lib/dpkg/status"
    database.parent.mkdir(parents=True)
    database.write_text(
        f"Package: skinnybox-guest\nStatus: {status}\n\nPackage: a\nStatus: install ok installed\n"
    )
    if is_fit:
        _import(source, tmp_path / "masters")
    else:
        with pytest.raises(Unsupported, match="not made fit"):
            _import(source, tmp_path / "masters")


def test_the_longest_of_names_is_sealed_or_named(source: Path, tmp_path: Path) -> None:
    longest = "srv/" + "n" * 255
    (source / "srv").mkdir()
    (source / longest).write_text("x")
    try:
        master = _import(source, tmp_path / "masters")
    except CommandFailed as error:  # erofs-utils 1.5
        assert error.hint is not None and f"'{longest}'" in error.hint
        assert [item.name for item in (tmp_path / "masters").iterdir()] == [".lock"]
    else:
        index = catalogue.folder(tmp_path / "masters", master) / "index.jsonl.gz"
        assert longest.encode() in [entry.path for entry in read_index(index)]


@pytest.mark.parametrize("levels", [300, 1500, 2500])
def test_an_archive_of_folders_without_end_is_refused(source: Path, tmp_path: Path, levels: int) -> None:
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(source, ".")
        archive.addfile(tarfile.TarInfo("d/" * levels + "x"))
    for as_is in (True, False):
        with pytest.raises((Unsupported, Corrupt), match=r"nested|too long"):
            _import(tmp_path / "t.tar", tmp_path / "masters", as_is=as_is)
        assert [item.name for item in (tmp_path / "masters").iterdir()] == [".lock"]


def test_a_given_kernel_wins_and_so_does_an_initrd(source: Path, tmp_path: Path) -> None:
    given = tmp_path / "vmlinuz-7.0"
    given.write_text("mine")
    with pytest.raises(UsageError, match="one kernel"):
        _import(source, tmp_path / "masters", initrd=given)
    with pytest.raises(Unsupported, match=r"no modules of its kernel 7\.0"):
        _import(source, tmp_path / "masters", kernel=given)
    master = _import(source, tmp_path / "masters", kernel=given, initrd=given)
    assert master.kernel_version == "7.0"
    assert (catalogue.folder(tmp_path / "masters", master) / "initrd").read_text() == "mine"
    (source / "boot/config-7.0").write_text(CONFIGURATION)
    master = _import(source, tmp_path / "masters", version="2", kernel=given)
    assert (catalogue.folder(tmp_path / "masters", master) / "initrd").stat().st_size > 1 << 20


def test_a_tree_without_a_kernel(source: Path, tmp_path: Path) -> None:
    (source / "boot/vmlinuz-6.1").unlink()
    with pytest.raises(NotFound, match="no kernel"):
        _import(source, tmp_path / "masters")


def test_a_given_kernel_that_is_missing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="gone"):
        _import(source, tmp_path / "masters", kernel=tmp_path / "gone", initrd=tmp_path / "gone")


def test_a_taken_reference_stops_a_build_at_once(source: Path, tmp_path: Path) -> None:
    _import(source, tmp_path / "masters")
    with pytest.raises(Conflict, match="x:1"):
        build(Recipe(), store=tmp_path / "masters", name="x", version="1", operation=Operation())
