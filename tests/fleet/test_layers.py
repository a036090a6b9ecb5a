"""Layers: what is sealed, what is refused, and that the same tree is the same layer."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, Corrupt, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet.layers import Layers
from skinnybox.fleet.service import Fleet
from skinnybox.issues import Deed
from skinnybox.layout import Sort, sort
from skinnybox.masters.index import Entry, read_index
from skinnybox.model import ImageKind, Layer
from skinnybox.operation import Operation
from tests.fleet.conftest import SPARSE, Said, said
from tests.layered import DATED, planted
from tests.samples import seal


@pytest.fixture
def layers(fleet: Fleet) -> Layers:
    return fleet.layers


def entries(layers: Layers, layer: Layer) -> dict[str, Entry]:
    found = read_index(layers.folder(layer) / "index.jsonl.gz")
    return {os.fsdecode(entry.path): entry for entry in found}


def test_a_directory_is_a_layer_with_paths_as_in_the_guest(layers: Layers, tmp_path: Path) -> None:
    tree = planted(tmp_path / "site", {"srv/www/index.html": "hello"})
    layer = layers.import_tree(tree, "site:1", above="tiny")
    assert (layer.reference, layer.made_for, layer.only) == ("site:1", "tiny:1", False)
    assert [image.kind for image in layer.images] == [ImageKind.EROFS_LZ4HC]
    assert list(entries(layers, layer)) == ["", "srv", "srv/www", "srv/www/index.html"]
    assert layers.all() == [layer] == [layers.verify("site")]
    assert {p.stat().st_mode & 0o777 for p in layers.folder(layer).iterdir()} == {0o400}


def test_the_same_tree_is_the_same_layer_wherever_it_lies(
    state: Path, layers: Layers, tmp_path: Path
) -> None:
    tree = planted(tmp_path / "a", {"srv/z": "1", "srv/b": "2"})
    copy = tmp_path / "b"
    shutil.copytree(tree, copy, copy_function=shutil.copy2)
    first = layers.import_tree(tree, "site:1", above="tiny")
    kept = {p.name: p.read_bytes() for p in layers.folder(first).glob("root*")}
    assert layers.import_tree(copy, "site:1", above="tiny") == first
    layers.remove("site:1")
    assert layers.all() == [] and list((state / "layers").iterdir()) == [state / "layers/.lock"]
    again = layers.import_tree(copy, "site:1", above="tiny")
    assert (again.id, again.images) == (first.id, first.images)
    assert {p.name: p.read_bytes() for p in layers.folder(again).glob("root*")} == kept


def test_a_tar_is_one_too_and_its_root_may_lie_anywhere(layers: Layers, tmp_path: Path) -> None:
    tree = planted(tmp_path / "site", {"index.html": "hello"})
    placed = layers.import_tree(tree, "placed:1", above="tiny", at="/srv/www/widgets.com")
    assert "srv/www/widgets.com/index.html" in entries(layers, placed)
    assert entries(layers, placed)["srv/www"].mtime_ns == DATED * 10**9
    packed = tmp_path / "site.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(tree, "srv/www/widgets.com")
    assert layers.import_tree(packed, "placed:1", above="tiny") == placed


def test_folders_of_the_master_stay_as_the_master_has_them(layers: Layers, tmp_path: Path) -> None:
    """Overlayfs shows the topmost one: a tree that somebody keeps closed would close /etc of all machines."""
    tree = planted(tmp_path / "site", {"etc/site.conf": "x", "srv/x": "x"})
    (tree / "etc").chmod(0o700)
    (tree / "srv").chmod(0o750)
    tree.chmod(0o700)
    os.chown(tree / "etc", 1234, 1234)
    layer = layers.import_tree(tree, "site:1", above="tiny")
    found = entries(layers, layer)
    assert (found["etc"].mode, found["etc"].uid, found[""].mode) == (0o755, 0, 0o755)
    assert found["srv"].mode == 0o750


def test_it_says_what_it_puts_in_place_of_the_masters_own(layers: Layers, tmp_path: Path) -> None:
    told: list[str] = []
    tree = planted(tmp_path / "site", {"etc/motd": "ours"})
    layers.import_tree(tree, "site:1", above="tiny", operation=Operation(log=told.append))
    assert told == ["in place of what tiny:1 has there: /etc/motd"]


REFUSED = {
    "var/lib/dpkg/status": "packages",
    "lib/apk/db/installed": "packages",
    "etc/passwd": "accounts",
    "etc/shadow-": "accounts",
    "etc/machine-id": "the master's",
    "usr/lib/modules/6.1/x.ko": "the master's",
    "etc/ssh/ssh_host_rsa_key": "the master's",
    "srv/.wh.gone": "mark of a deletion",
    "usr/lib/skinnybox/x": "the master's",
    "etc/motd/inside": "no folder",
    "etc": "is a folder in tiny:1",
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_no_layer_can_hold_is_refused(state: Path, layers: Layers, tmp_path: Path, path: str) -> None:
    tree = planted(tmp_path / "tree", {"srv/fine": "x", path: "x"})
    with pytest.raises(Unsupported, match=REFUSED[path]) as caught:
        layers.import_tree(tree, "bad:1", above="tiny")
    assert caught.value.hint
    assert [place.name for place in (state / "layers").iterdir()] == [".lock"]


def test_devices_and_marks_of_deletions_are_refused(layers: Layers, tmp_path: Path) -> None:
    tree = planted(tmp_path / "tree", {"srv/fine": "x"})
    os.mknod(tree / "srv/gone", 0o020000, 0)
    with pytest.raises(Unsupported, match=r"/srv/gone .*mark of a deletion"):
        layers.import_tree(tree, "bad:1", above="tiny")
    (tree / "srv/gone").unlink()
    os.setxattr(tree / "srv", "trusted.overlay.opaque", b"y")
    with pytest.raises(Unsupported, match=r"trusted.overlay.opaque"):
        layers.import_tree(tree, "bad:1", above="tiny")


def test_a_folder_that_would_hide_a_symlink_is_refused(layers: Layers, state: Path, tmp_path: Path) -> None:
    merged = tmp_path / "tree-merged-1"
    planted(merged, {"usr/lib/x": "x"})
    (merged / "lib").symlink_to("usr/lib")
    seal(state, tmp_path, "merged", "1")
    tree = planted(tmp_path / "tool", {"lib/tool.so": "x"})
    with pytest.raises(Unsupported, match="/lib is a symlink to usr/lib in merged:1") as caught:
        layers.import_tree(tree, "tool:1", above="merged")
    assert caught.value.hint == "put what is in it into usr/lib"


WRONG: dict[str, tuple[dict[str, str], type[SkinnyboxError]]] = {
    "no place": ({"at": "srv/site"}, UsageError),
    "out of it": ({"at": "/srv/../etc"}, UsageError),
    "no such master": ({"above": "other"}, NotFound),
    "no name": ({"reference": "Site"}, UsageError),
    "no source": ({"source": "missing"}, NotFound),
    "no tree": ({"source": "plain.txt"}, Unsupported),
    "nothing": ({"source": "empty"}, UsageError),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_meant_is_refused(layers: Layers, tmp_path: Path, case: str) -> None:
    planted(tmp_path / "site", {"srv/x": "x"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "plain.txt").write_text("text\n")
    changed, error = WRONG[case]
    given = {"source": "site", "reference": "site:1", "above": "tiny", **changed}
    with pytest.raises(error):
        layers.import_tree(
            tmp_path / given["source"], given["reference"], above=given["above"], at=given.get("at")
        )
    assert layers.all() == []


def test_a_name_and_a_content_are_each_taken_once(layers: Layers, tmp_path: Path) -> None:
    first = layers.import_tree(planted(tmp_path / "a", {"srv/x": "1"}), "site:1", above="tiny")
    with pytest.raises(Conflict, match="with other content"):
        layers.import_tree(planted(tmp_path / "b", {"srv/x": "2"}), "site:1", above="tiny")
    with pytest.raises(Conflict, match="sealed as site:1"):
        layers.import_tree(tmp_path / "a", "site:2", above="tiny")
    only = layers.import_tree(tmp_path / "a", "site:2", above="tiny", only=True)
    assert only.id != first.id and only.images == first.images


def test_a_flipped_byte_is_found(state: Path, layers: Layers, tmp_path: Path) -> None:
    layer = layers.import_tree(planted(tmp_path / "a", {"srv/x": "1" * 5000}), "site:1", above="tiny")
    for name in ("root.erofs", "index.jsonl.gz"):
        file = layers.folder(layer) / name
        whole = file.read_bytes()
        file.chmod(0o600)
        file.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
        with pytest.raises(Corrupt, match=name):
            layers.verify("site:1")
        file.write_bytes(whole)
    assert layers.verify("site:1") == layer


def test_all_that_lies_in_the_store_is_known(state: Path, layers: Layers, tmp_path: Path) -> None:
    layer = layers.import_tree(planted(tmp_path / "a", {"srv/x": "1"}), "site:1", above="tiny")
    assert all(sort("layers", place.name) is Sort.PART for place in (state / "layers").iterdir())
    place = layers.folder(layer)
    assert {sort("layers/<content id>", file.name) for file in place.iterdir()} == {Sort.PART}


def test_the_commands(fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = planted(tmp_path / "site", {"index.html": "hello"})

    def layer(*words: str) -> Said:
        return said(capsys, "--state", str(state), "--host", "fake", "layer", *words)

    done = layer("import", str(tree), "site:1", "--for", "tiny", "--at", "/srv/www")
    assert done.code == 0 and "site:1: sealed for tiny, " in done.out
    listed = layer("list")
    assert "site:1" in listed.out and "tiny" in listed.out
    columns, row = layer("list", "--format", "csv").out.splitlines()
    assert columns == "layer,id,master,image,tree,machines,created" and ",-," not in row
    form = json.loads(layer("show", "site", "--format", "json").out)
    assert form["master"] == "tiny:1" and list(form) == [
        "layer", "id", "master", "master_id", "only", "architecture", "image", "images", "tree", "entries",
        "machines", "created", "folder",
    ]  # fmt: skip
    assert layer("show", "site").out.splitlines()[0].split() == ["layer:", "site:1"]
    assert layer("verify", "site").code == 0
    assert layer("remove", "site").code == 0
    assert layer("show", "site").code == 3


BAD = "bad name!"
NAMED_BADLY = (
    ("layer", "import", "TREE", BAD, "--for", "tiny"),
    ("layer", "build", BAD, "/dev/null", "--for", "tiny"),
    ("layer", "build", "x:1", "/dev/null", "--for", "tiny", "--layer", BAD),
    ("layer", "show", BAD),
    ("layer", "remove", BAD),
    ("create", "web", "--master", "tiny", "--layer", BAD),
    ("promote", "a", BAD, "--as-layer", "--yes"),
)


@pytest.mark.parametrize("words", NAMED_BADLY, ids=" ".join)
def test_what_is_no_name_of_a_layer_is_not_called_one_of_a_master(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    tree = planted(tmp_path / "site", {"srv/x": "x"})
    if words[0] == "promote":
        fleet.create(["a"], "tiny", SPARSE)
    line = [str(tree) if word == "TREE" else word for word in words]
    ended = said(capsys, "--state", str(state), "--host", "fake", *line)
    assert (ended.code, ended.out) == (2, "")
    assert "'bad name!' does not name a layer\n" in ended.err


def test_repair_knows_what_a_kill_leaves_and_touches_no_layer(
    fleet: Fleet, state: Path, tmp_path: Path
) -> None:
    layer = fleet.layers.import_tree(planted(tmp_path / "a", {"srv/x": "1"}), "site:1", above="tiny")
    for name in (".work-1-a", ".sealing-1-b", ".removing-" + "0" * 64):
        (state / "layers" / name).mkdir()
    broken = state / "layers" / ("1" * 64)
    broken.mkdir()
    (broken / "manifest.json").write_text("{}")
    (state / "layers/mine").write_text("x")
    found = {finding.path.name: finding.deed for finding in fleet.upkeep.examine().findings}
    assert found == {
        ".work-1-a": Deed.REMOVE, ".sealing-1-b": Deed.REMOVE, ".removing-" + "0" * 64: Deed.REMOVE,
        "1" * 64: Deed.ASIDE, "mine": Deed.KEEP,
    }  # fmt: skip
    fleet.upkeep.repair()
    assert fleet.layers.all() == [layer]
    assert not list((state / "layers").glob(".[wsr]*-*"))
