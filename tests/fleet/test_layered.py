"""Machines with layers, on the fake host: what is created and refused, and what reads their stack."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.delta import content
from skinnybox.errors import Blocked, Corrupt, NotFound, Unsupported, UsageError
from skinnybox.fleet import specification, stack_files
from skinnybox.fleet.capacity import Account
from skinnybox.fleet.service import Fleet
from skinnybox.masters.layers.stacked import stacked
from skinnybox.model import Image, Instance, Layer, Master
from skinnybox.overlays import inspect
from skinnybox.sandbox import reader
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_disks import image, write
from tests.layered import DATED, planted
from tests.samples import seal

TREES = {
    "low": {"srv/site/index.html": "low\n", "srv/site/only-low": "low\n", "etc/motd": "of the layer\n"},
    "top": {"srv/site/index.html": "top\n"},
}


@pytest.fixture
def low(fleet: Fleet, tmp_path: Path) -> Layer:
    return fleet.layers.import_tree(planted(tmp_path / "low", TREES["low"]), "low:1", above="tiny")


@pytest.fixture
def top(fleet: Fleet, tmp_path: Path) -> Layer:
    return fleet.layers.import_tree(planted(tmp_path / "top", TREES["top"]), "top:1", above="tiny")


@pytest.fixture
def web(fleet: Fleet, low: Layer, top: Layer) -> Instance:
    [instance] = fleet.create(["web"], "tiny", replace(SPARSE, layers=("low", "top:1")))
    return instance


def copied_up(state: Path, instance: Instance, path: str, content: bytes, dated: int = DATED) -> None:
    """A file of the upper directory, as old as it is said, in folders as the stack has them."""
    overlay = image(state, instance)
    folder = ""
    for part in path.split("/")[:-1]:
        folder = f"{folder}/{part}".strip("/")
        run.run(["debugfs", "-w", "-R", f"mkdir upper/{folder}", overlay])
        run.run(["debugfs", "-w", "-R", f"sif upper/{folder} mode 040755", overlay])
    write(overlay, path, content)
    for words in (f"mtime @{dated}", "mtime_extra 0", "mode 0100644"):
        run.run(["debugfs", "-w", "-R", f"sif upper/{path} {words}", overlay])


def changes(fleet: Fleet, name: str = "web") -> dict[str, str]:
    with fleet.overlays.changes(name) as found:
        return {change.path.decode(): change.kind.value for change in found}


def test_a_stack_has_its_images_in_order(
    fleet: Fleet, state: Path, web: Instance, master: Master, low: Layer, top: Layer
) -> None:
    digests = (master.images[0].digest, low.images[0].digest, top.images[0].digest)
    assert web.stack.images == digests
    assert (web.stack.layers, web.stack.layer_ids) == (("low:1", "top:1"), (low.id, top.id))
    told = inspect.read_base(image(state, web)).all("image")
    assert [line.value.split()[0] for line in told] == list(digests)
    assert fleet.machine("web").instance == web
    assert fleet.layers.dependants() == {low.id: ["web"], top.id: ["web"]}
    fleet.start(["web"])


def test_the_topmost_is_seen_and_folders_are_one(
    fleet: Fleet, low: Layer, top: Layer, master: Master
) -> None:
    places = [fleet.masters.folder(master), fleet.layers.folder(low), fleet.layers.folder(top)]
    seen = {line.path: number for number, line in stacked([place / "index.jsonl.gz" for place in places])}
    assert {path: number for path, number in seen.items() if path.startswith(b"srv")} == {
        b"srv": 2, b"srv/site": 2, b"srv/site/index.html": 2, b"srv/site/only-low": 1,
    }  # fmt: skip
    assert (seen[b"etc/motd"], seen[b"etc/os-release"]) == (1, 0)


def test_what_lies_below_a_file_is_hidden(fleet: Fleet, tmp_path: Path, master: Master) -> None:
    """As overlayfs looks a name up: from the top, until something is no folder."""
    trees = [{"opt/a/x": "1", "opt/b": "1"}, {"opt/a": "2", "opt/b/y": "2"}, {"opt/a/z": "3", "opt/c": "3"}]
    layers = [
        fleet.layers.import_tree(planted(tmp_path / f"t{n}", tree), f"t{n}:1", above="tiny")
        for n, tree in enumerate(trees)
    ]
    places = [fleet.masters.folder(master), *map(fleet.layers.folder, layers)]
    seen = {line.path: number for number, line in stacked([place / "index.jsonl.gz" for place in places])}
    assert {path: number for path, number in seen.items() if path.startswith(b"opt/")} == {
        b"opt/a": 3, b"opt/a/z": 3, b"opt/b": 2, b"opt/b/y": 2, b"opt/c": 3,
    }  # fmt: skip


def test_changes_are_told_against_all_of_the_stack(
    fleet: Fleet, state: Path, web: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changes(fleet) == {}
    copied_up(
        state, web, "srv/site/index.html", b"top\n"
    )  # as the top layer has it: nothing was made its own
    copied_up(state, web, "srv/site/only-low", b"mine\n", DATED + 1)
    copied_up(state, web, "srv/site/new", b"new\n")
    assert changes(fleet) == {"srv/site/new": "added", "srv/site/only-low": "modified"}
    versions = fleet.deltas.file("web", b"srv/site/index.html")
    assert versions.before is not None and versions.before.data == b"top\n"
    words = ("--state", str(state), "--host", "fake", "changes", "web", "/srv/site/only-low", "--content")
    assert {"-low", "+mine"} <= set(said(capsys, *words).out.splitlines())
    versions = fleet.deltas.file("web", b"etc/motd")
    assert versions.before is not None and versions.before.data == b"of the layer\n"
    with pytest.raises(NotFound):
        fleet.deltas.file("web", b"srv/site/none")


def test_one_process_reads_all_of_its_images(
    fleet: Fleet, state: Path, web: Instance, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each path of the topmost tree that has it, in the order in which they were asked for."""
    started, inquire = list[str](), reader.inquire

    def counted(*words: Any, **named: Any) -> Any:
        started.append(words[0])
        return inquire(*words, **named)

    monkeypatch.setattr(content, "inquire", counted)
    wanted = {
        b"srv/site/index.html": b"top\n", b"etc/os-release": b'PRETTY_NAME="Tiny 1"\n', b"srv/none": None,
        b"srv/site/only-low": b"low\n", b"etc/motd": b"of the layer\n",
    }  # fmt: skip
    found = list(stack_files.contents(state, master, web.stack, list(wanted), 1000))
    assert [each and each.data for each in found] == list(wanted.values()) and len(started) == 1


def test_what_says_nothing_is_dropped_and_paths_are_given_back(
    fleet: Fleet, state: Path, web: Instance
) -> None:
    copied_up(state, web, "srv/site/index.html", b"top\n")
    copied_up(state, web, "srv/site/only-low", b"mine\n", DATED + 1)
    [slimmed] = fleet.deltas.slim(["web"])
    assert slimmed.ok and slimmed.value is not None and slimmed.value.count == 1
    assert changes(fleet) == {"srv/site/only-low": "modified"}
    [given] = fleet.deltas.give_back(["web"], ["/srv/site/only-low"])
    assert given.ok and changes(fleet) == {}


def test_copies_and_renamed_ones_have_its_layers(fleet: Fleet, state: Path, web: Instance) -> None:
    copied_up(state, web, "srv/site/new", b"new\n")
    [other] = fleet.deltas.copy("web", ["other"])
    assert other.stack == web.stack and changes(fleet, "other") == {"srv/site/new": "added"}
    assert fleet.deltas.rename("other", "else").stack == web.stack
    [reset] = fleet.overlays.reset(["web"])
    assert reset.ok and reset.value is not None and reset.value.stack == web.stack
    assert changes(fleet) == {}


def test_an_archive_needs_the_layers_it_was_made_with(
    fleet: Fleet, state: Path, tmp_path: Path, web: Instance, top: Layer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--state", str(state), "--host", "fake")
    copied_up(state, web, "srv/site/index.html", b"mine\n")
    assert said(capsys, *words, "export", "web", str(tmp_path / "archive")).code == 0
    fleet.delete(["web"])
    fleet.layers.remove("top:1")
    ended = said(capsys, *words, "create", "web", "--from", str(tmp_path / "archive"))
    assert ended.code == NotFound.exit_code and "a layer" in ended.err and "top:1" in ended.err
    fleet.layers.import_tree(planted(tmp_path / "again", TREES["top"]), "again:1", above="tiny")
    ended = said(capsys, *words, "create", "web", "--from", str(tmp_path / "archive"))
    assert ended.code == 0, ended
    stack = fleet.machine("web").instance.stack
    assert stack == replace(web.stack, layers=("low:1", "again:1"))
    assert changes(fleet) == {"srv/site/index.html": "modified"}
    ended = said(capsys, *words, "create", "other", "--from", str(tmp_path / "archive"), "--new-identity")
    assert ended.code == 0 and changes(fleet, "other") == {"srv/site/index.html": "modified"}, ended


def test_files_of_all_of_the_stack_come_out_while_it_is_off(
    state: Path, tmp_path: Path, web: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--state", str(state), "--host", "fake")
    copied_up(state, web, "srv/site/own", b"own\n")
    ended = said(capsys, *words, "cp", "-r", "web:/srv/site", str(tmp_path / "copy"))
    assert ended.code == 0, ended
    found = {path.name: path.read_text() for path in (tmp_path / "copy").iterdir()}
    assert found == {"index.html": "top\n", "only-low": "low\n", "own": "own\n"}


def test_a_promotion_says_which_layers_go_there(
    state: Path, web: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = said(capsys, "--state", str(state), "--host", "fake", "promote", "web", "other:1", "--dry-run")
    assert ended.code == 0 and "the files of its layers go there too: low:1, top:1" in ended.err, ended


def test_nobody_removes_what_is_needed(fleet: Fleet, web: Instance, low: Layer, top: Layer) -> None:
    fleet.overlays.snapshot(["web"], "then")
    with pytest.raises(Blocked, match="low:1 is a layer of web"):
        fleet.layers.remove("low")
    assert [outcome.ok for outcome in fleet.overlays.restore(["web"], "then")] == [True]
    fleet.delete(["web"], force=True)
    assert fleet.layers.remove("low") == low and fleet.layers.all() == [top]


def test_a_snapshot_needs_its_layers_too(fleet: Fleet, web: Instance, low: Layer) -> None:
    fleet.overlays.snapshot(["web"], "then")
    bare = replace(web, stack=replace(web.stack, images=web.stack.images[:1], layers=(), layer_ids=()))
    fleet._host.define(bare)
    with fleet._catalog._db.writing():  # as a rebase without layers would have left it
        from skinnybox.hosts.record import to_record

        fleet._catalog._db.execute("UPDATE instances SET record = ?", (json.dumps(to_record(bare)),))
    with pytest.raises(Blocked, match="a layer of the snapshot 'then' of web"):
        fleet.layers.remove("low")
    assert [str(outcome.error) for outcome in fleet.overlays.restore(["web"], "then")] != ["None"]


def test_what_does_not_go_above_a_master_is_refused(
    fleet: Fleet, state: Path, tmp_path: Path, low: Layer, top: Layer
) -> None:
    seal(state, tmp_path, "other", "1")
    with pytest.raises(Blocked, match="made for tiny, and goes not above other:1"):
        fleet.create(["a"], "other", replace(SPARSE, layers=("low",)))
    only = fleet.layers.import_tree(tmp_path / "low", "only:1", above="tiny", only=True)
    later = tmp_path / "tree-tiny-2"
    planted(later, {"etc/os-release": "x", "usr/lib/skinnybox/protocol": "5\n", "srv/site": "a file now"})
    seal(state, tmp_path, "tiny", "2")
    with pytest.raises(Blocked, match="made for tiny:1 only"):
        fleet.create(["a"], "tiny:2", replace(SPARSE, layers=(only.reference,)))
    with pytest.raises(Unsupported, match="/srv/site is no folder in tiny:2"):
        fleet.create(["a"], "tiny:2", replace(SPARSE, layers=("low",)))
    for layers, error in ((("low", "low:1"), UsageError), (("none",), NotFound), (("low",) * 17, UsageError)):
        with pytest.raises(error):
            fleet.create(["a"], "tiny:1", replace(SPARSE, layers=layers))
    assert fleet.names() == []


def test_a_layer_goes_above_later_versions_and_their_kind_of_image(
    fleet: Fleet, state: Path, tmp_path: Path, low: Layer
) -> None:
    planted(tmp_path / "tree-tiny-2", {"etc/os-release": "x", "usr/lib/skinnybox/protocol": "5\n"})
    seal(state, tmp_path, "tiny", "2", dax=True)
    [made] = fleet.create(["a"], "tiny:2", replace(SPARSE, layers=("low",), dax=False))
    assert made.stack.layers == ("low:1",)
    with pytest.raises(Unsupported, match="low:1 has no image of the kind erofs-plain"):
        fleet.create(["b"], "tiny:2", replace(SPARSE, layers=("low",)))
    both = fleet.layers.import_tree(tmp_path / "low", "both:1", above="tiny:2", only=True)
    [mapped] = fleet.create(["b"], "tiny:2", replace(SPARSE, layers=("both",)))
    kinds: dict[str, Image] = {str(i.kind): i for i in both.images}
    assert mapped.stack.dax and mapped.stack.images[1] == kinds["erofs-plain"].digest


def test_a_record_that_cannot_be_is_told(fleet: Fleet, state: Path, web: Instance) -> None:
    odd = replace(web, stack=replace(web.stack, images=web.stack.images[:2]))
    with pytest.raises(Corrupt, match="names 2 images of a master and 2 layers"):
        stack_files.indexes(state, odd.stack)


def test_a_machine_whose_layer_is_gone_is_told(fleet: Fleet, web: Instance, top: Layer) -> None:
    run.run(["rm", "-rf", fleet.layers.folder(top)])
    [finding] = [each for each in fleet.upkeep.examine().findings if "top:1" in each.what]
    assert finding.what == "web cannot start without its layer top:1: bring that back"
    [outcome] = fleet.start(["web"])
    assert isinstance(outcome.error, NotFound) and "the layer top:1 is gone" in outcome.error.message
    with pytest.raises(NotFound, match="the layer top:1 is gone"):
        changes(fleet)


def test_a_host_that_attaches_none_refuses_them_by_name(fleet: Fleet) -> None:
    features = replace(fleet._host.features, layers=False)
    with pytest.raises(Unsupported, match="this host attaches no layers"):
        specification.check(replace(SPARSE, layers=("site",)), features)


def test_a_layer_counts_once(fleet: Fleet, web: Instance, master: Master, low: Layer, top: Layer) -> None:
    before: Account = fleet.capacity(MIB)
    fleet.create(["more"], "tiny", replace(SPARSE, layers=("low", "top")))
    after = fleet.capacity(MIB)
    place = [file for layer in (low, top) for file in fleet.layers.folder(layer).iterdir()]
    assert after.space.layers == before.space.layers == sum(file.stat().st_blocks * 512 for file in place)
    copies = master.tree_size + low.tree_size + top.tree_size
    assert after.full_copies - after.space.written == 2 * copies


def test_what_changed_below_is_found_at_the_start(fleet: Fleet, web: Instance, top: Layer) -> None:
    fleet.start(["web"])
    fleet.kill(["web"])
    file = fleet.layers.folder(top) / "root.erofs"
    whole = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    [outcome] = fleet.start(["web"])
    assert outcome.error is not None and "top:1 is damaged" in outcome.error.message


def test_a_fleet_file_says_them(
    fleet: Fleet, state: Path, tmp_path: Path, low: Layer, top: Layer, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.yaml"
    text = "version: 1\nfleet: site\ndefaults: {master: tiny, sparse: true, overlay: 64M, layers: [low]}\n"
    file.write_text(f"{text}machines:\n  web:\n")
    words = ("--state", str(state), "--host", "fake")
    assert said(capsys, *words, "apply", str(file), "--yes").code == 0
    assert fleet.machine("web").instance.stack.layers == ("low:1",)
    assert said(capsys, *words, "plan", str(file), "--exit-code").code == 0
    file.write_text(f"{text}machines:\n  web: {{layers: [low, top]}}\n")
    planned = said(capsys, *words, "plan", str(file), "--format", "json")
    [action] = json.loads(planned.out)
    assert (action["action"], action["changes"]) == (
        "blocked", [{"what": "layers", "before": "low:1", "after": "low, top"}],
    )  # fmt: skip
    file.write_text(f"{text}machines:\n  web: {{layers: [none]}}\n")
    assert said(capsys, *words, "plan", str(file)).code == 3
