"""`promote --as-layer` on the fake host: what of a machine's own becomes a layer, and what cannot."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import NotFound, Unsupported, UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import Entry, read_index
from skinnybox.model import Instance, Layer, Master
from tests.fleet.conftest import SPARSE, said
from tests.fleet.promotable import wrote
from tests.fleet.test_disks import image
from tests.layered import DATED, planted
from tests.samples import seal
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, d, f, l

Said = pytest.CaptureFixture[str]
TREE = {
    "etc/os-release": "x", "usr/lib/skinnybox/protocol": "5\n", "srv/same": "same", "srv/gone": "gone",
    "srv/emptied/x": "x", "srv/folder/x": "x", "srv/file": "x", "etc/web.conf": "master",
}  # fmt: skip
THEN = DATED * 10**9 + 123_456_789
OWN: dict[str, Thing] = {
    "srv/site": d(0o2770, uid=7, gid=8, mtime_ns=THEN),
    "srv/site/index.html": f("typed", mode=0o640, uid=7, gid=8, mtime_ns=THEN, xattrs={"user.a": b"\0\xff"}),
    "srv/site/link": l("index.html", mtime_ns=THEN),
    "srv/empty": d(mtime_ns=THEN),
    "srv/emptied/new": f("new", mtime_ns=THEN),
    "etc/web.conf": f("typed", mtime_ns=THEN),
}
NOT: dict[str, tuple[Thing, str]] = {
    "etc/hostname": (f("web\n"), "identity"),
    "root/.bash_history": (f("x"), "history"),
    "var/lib/dpkg/status": (f("x"), "packages"),
    "var/lib/dpkg/info/a.list": (f("x"), "packages"),
    "etc/passwd": (f("x"), "accounts"),
    "boot/vmlinuz": (f("x"), "system"),
    "srv/null": (Thing("c", rdev=(1, 3)), "device"),
    "srv/gone": (WHITEOUT, "deletion"),
    "srv/emptied": (d(xattrs=OPAQUE), "deletion"),
    "srv/folder": (f("a file now"), "hiding"),
    "srv/file/in": (f("a folder now"), "hiding"),
    "usr/lib": (d(0o700), "folder"),
}
SAME: dict[str, Thing] = {"srv/same": f("same", mtime_ns=DATED * 10**9)}
UPPER = {**OWN, **SAME, **{path: thing for path, (thing, _) in NOT.items()}}


@pytest.fixture
def site(fleet: Fleet, state: Path, tmp_path: Path) -> Master:
    planted(tmp_path / "tree-site-1", TREE)
    return seal(state, tmp_path, "site", "1")


def a_machine(
    fleet: Fleet, state: Path, upper: Mapping[str, Thing], name: str = "web", *layers: str
) -> Instance:
    [instance] = fleet.create([name], "site:1", replace(SPARSE, layers=layers))
    wrote(image(state, instance), upper)
    return instance


def entries(fleet: Fleet, layer: Layer) -> dict[str, Entry]:
    return {entry.path.decode(): entry for entry in read_index(fleet.layers.folder(layer) / INDEX)}


def files(fleet: Fleet, layer: Layer) -> set[str]:
    return {path for path, entry in entries(fleet, layer).items() if entry.type != "d"}


def changes(fleet: Fleet, name: str) -> dict[str, str]:
    with fleet.overlays.changes(name) as found:
        return {change.path.decode(): change.kind.value for change in found}


def test_its_own_goes_there_and_nothing_is_changed_under_it(fleet: Fleet, state: Path, site: Master) -> None:
    a_machine(fleet, state, UPPER)
    layer = fleet.deltas.promote_layer("web", "own:1")
    assert (layer.made_for, layer.only, layer.reference) == ("site:1", False, "own:1")
    found = entries(fleet, layer)
    assert found.keys() == {"", "srv", "etc", "srv/emptied", *OWN}
    for path, thing in OWN.items():
        entry = found[path]
        assert (entry.type, entry.uid, entry.gid, entry.mtime_ns) == (
            thing.type, thing.uid, thing.gid, thing.mtime_ns,
        ), path  # fmt: skip
        assert (entry.mode, dict(entry.xattrs)) == (thing.mode, thing.xattrs), path
    a_machine(fleet, state, {**OWN, "srv/site/new": f("x")}, "other", "own")
    assert changes(fleet, "other") == {"srv/site/new": "added"}
    fleet.delete(["other"], force=True)
    fleet.layers.remove("own")
    assert fleet.deltas.promote_layer("web", "again:2").id == layer.id, "the same delta is the same layer"


def test_what_does_not_go_there_is_said_first(fleet: Fleet, state: Path, site: Master, capsys: Said) -> None:
    a_machine(fleet, state, UPPER)
    words = ("--state", str(state), "--host", "memory", "promote", "web", "own:1", "--as-layer")
    ended = said(capsys, *words, "--dry-run", "--format", "json")
    rows = {each["path"]: each["reason"] for each in json.loads(ended.out)}
    for path, (_, reason) in NOT.items():
        places = [place for place in rows if f"/{path}/".startswith(f"{place}/") and rows[place] == reason]
        assert places, (path, rows)
    assert not any(f"/{path}" in rows for path in OWN)
    assert fleet.layers.all() == [] and "what was deleted is seen again" in ended.err, ended
    ended = said(capsys, *words, "--yes")
    assert ended.code == 0 and ended.out.startswith("own:1: sealed for site, "), ended
    assert "/etc/web.conf" in ended.err and "in place of what site:1 has there" in ended.err


@pytest.mark.full
def test_at_paths_that_are_named_it_is_an_error(fleet: Fleet, state: Path, site: Master) -> None:
    a_machine(fleet, state, UPPER)
    with pytest.raises(NotFound, match="nothing of its own at /srv/gone"):
        fleet.deltas.would_promote("web", as_layer=True, paths=("/srv/site", "/srv/gone"))
    with pytest.raises(Unsupported, match="/srv/null cannot be in a layer"):
        fleet.deltas.promote_layer("web", "own:1", paths=("/srv/null",))
    with pytest.raises(UsageError, match="chosen for a layer"):
        fleet.deltas.would_promote("web", paths=("/srv",))
    assert fleet.layers.all() == []
    layer = fleet.deltas.promote_layer("web", "own:1", paths=("/srv/site/", "/srv/empty"))
    assert entries(fleet, layer).keys() == {
        "",
        "srv",
        "srv/empty",
        *(path for path in OWN if "/site" in path),
    }


def test_of_one_with_layers_only_its_own(fleet: Fleet, state: Path, tmp_path: Path, site: Master) -> None:
    fleet.layers.import_tree(
        planted(tmp_path / "low", {"srv/low/a": "a", "srv/low/b": "b"}), "low:1", above="site"
    )
    upper = {"srv/low/a": f("a", mtime_ns=DATED * 10**9), "srv/low/b": f("mine"), "srv/low/c": f("c")}
    a_machine(fleet, state, upper, "web", "low")
    layer = fleet.deltas.promote_layer("web", "own:1")
    assert files(fleet, layer) == {"srv/low/b", "srv/low/c"} and layer.made_for == "site:1"
    a_machine(fleet, state, upper, "other", "low", "own")
    assert changes(fleet, "other") == {}


@pytest.mark.full
def test_of_a_machine_without_anything_there_is_none(fleet: Fleet, state: Path, site: Master) -> None:
    a_machine(fleet, state, {"srv/gone": WHITEOUT, **SAME})
    with pytest.raises(UsageError, match="there is no file in it"):
        fleet.deltas.promote_layer("web", "own:1")


@pytest.mark.parametrize(
    ("upper", "left_out"),
    [
        (SAME, ""),
        ({"srv/empty": d(), "srv/gone": WHITEOUT, "etc/hostname": f("x")}, "; left out: "),
    ],
    ids=["nothing", "folders alone"],
)
def test_a_dry_run_is_refused_as_the_deed(
    fleet: Fleet, state: Path, site: Master, capsys: Said, upper: Mapping[str, Thing], left_out: str
) -> None:
    a_machine(fleet, state, upper)
    words = ("--state", str(state), "--host", "memory", "promote", "web", "own:1")
    looked, done = (said(capsys, *words, "--as-layer", how) for how in ("--dry-run", "--yes"))
    assert looked == done and (looked.code, looked.out) == (2, "")
    hint = "there is no file in it\n  hint: a layer is of files, with paths as in the guest"
    assert f"{hint}{left_out}" in looked.err
    assert all(f"/{path} (" in looked.err for path in upper.keys() & NOT)
    with pytest.raises(UsageError, match="there is no file in it"):
        fleet.deltas.promote_layer("web", "own:1")
    assert said(capsys, *words, "--dry-run").code == 0, "a master has what its own has"
    for as_layer in ((), ("--as-layer",)):
        ended = said(capsys, *words[:-1], "own!", *as_layer, "--dry-run")
        assert ended.code == 2 and "'own!' does not name a " in ended.err
