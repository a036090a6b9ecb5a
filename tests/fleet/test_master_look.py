"""`master show` and `master diff`, and what `list` tells of machines whose master has a newer one."""

import csv
import io
import json
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.layout import SYSTEM
from tests.fleet import on_a_terminal
from tests.fleet.conftest import SPARSE, said
from tests.image.test_masters_system import _write_packages
from tests.samples import seal


@pytest.fixture(autouse=True)
def _two(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """web:2 has one package more, all of a later version, and another number for an account."""
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    for version, count, uid in (("1", 2, 101), ("2", 3, 102)):
        tree = tmp_path / f"tree-web-{version}"
        _write_packages(tree, count, version)
        (tree / "etc/passwd").write_text(f"root:x:0:0::/:/bin/sh\nsshd:x:{uid}:1::/:/bin/false\n")
        (tree / "etc/odd\tname").write_text(version)
        seal(state, tmp_path, "web", version, unrelated=True)


def _differences(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    found = json.loads(said(capsys, "master", "diff", *words, "--format", "json").out)
    assert isinstance(found, list)
    return found


def test_what_another_master_has_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    found = _differences(capsys, "web:1", "web")
    told = [(d["what"], d["change"], d["name"], d["before"], d["after"]) for d in found]
    assert told == [
        ("package", "upgraded", "package-0", "1", "2"),
        ("package", "upgraded", "package-1", "1", "2"),
        ("package", "added", "package-2", None, "2"),
        ("user", "moved", "sshd", "101", "102"),
        ("files", "changed", None, None, None),
    ]
    assert found[4]["files"] == {"added": 1, "removed": 0, "modified": 3, "metadata": 0}
    back = _differences(capsys, "web:2", "web:1")
    assert [d["change"] for d in back[:4]] == ["downgraded", "downgraded", "removed", "moved"]


def test_in_each_format_and_with_files(capsys: pytest.CaptureFixture[str]) -> None:
    table = said(capsys, "master", "diff", "web:1", "web:2")
    heads = ["CHANGE", "WHAT", "NAME", "BEFORE", "AFTER", "FILES"]
    assert table.code == 0 and table.out.splitlines()[0].split() == heads
    assert "(no package)" in table.out and "1 added, 3 modified" in table.out
    rows = list(
        csv.DictReader(
            io.StringIO(said(capsys, "master", "diff", "web:1", "web:2", "--files", "--format", "csv").out)
        )
    )
    files = [(row["change"], row["name"]) for row in rows if row["what"] == "file"]
    assert ("modified", "/etc/odd\\tname") in files and len(files) == 4
    assert "what: user" in said(capsys, "master", "diff", "web:1", "web:2", "--format", "yaml").out


def test_the_exit_code_says_whether_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "master", "diff", "web:1", "web:2", "--exit-code").code == 10
    same = said(capsys, "master", "diff", "web:2", "web", "--exit-code")
    assert same.code == 0 and same.out == "" and "the same" in same.err
    assert _differences(capsys, "web:2", "web:2") == []
    assert said(capsys, "master", "diff", "web:1", "none").code == 3


def test_show_tells_the_packages(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert "packages:     3, by dpkg" in said(capsys, "master", "show", "web").out
    found = json.loads(said(capsys, "master", "show", "web", "--format", "json").out)
    first = {"package": "package-0", "version": "2", "architecture": "all", "status": "install ok installed"}
    assert found["packages"][0] == first and found["manager"] == "dpkg" and found["trouble"] == []
    assert {"name": "sshd", "uid": 102, "gid": 1} in found["users"]
    listed = said(capsys, "master", "show", "web:1", "--packages", "--format", "csv").out
    assert listed.splitlines()[1:] == [f"package-{n},1,all,install ok installed" for n in range(2)]


def test_a_master_whose_image_is_damaged_is_shown_all_the_same(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    place = fleet.masters.folder(fleet.masters.find("web:1"))
    (place / SYSTEM).unlink()
    image = place / "root.erofs"
    image.chmod(0o600)
    image.write_bytes(bytes(4096))
    found = said(capsys, "master", "show", "web:1")
    assert found.code == 0 and "packages:     unknown:" in found.out
    record = json.loads(said(capsys, "master", "show", "web:1", "--format", "json").out)
    assert record["packages"] is None and record["trouble"]
    assert said(capsys, "master", "diff", "web:1", "web:2").code == 1


def test_packages_that_are_not_read_here(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree-red-1/var/lib/rpm").mkdir(parents=True)
    (tmp_path / "tree-red-1/var/lib/rpm/rpmdb.sqlite").touch()
    seal(state, tmp_path, "red", "1")
    assert "packages unknown: the database of rpm is not read" in said(capsys, "master", "show", "red").out
    assert said(capsys, "master", "show", "red", "--packages").code == 6
    diff = said(capsys, "master", "diff", "red", "web")
    assert diff.code == 0 and "user" in diff.out and "red:1: packages unknown" in diff.err
    assert "package-0" not in diff.out


def test_list_marks_a_machine_whose_master_has_a_newer_one(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.create(["old"], "web:1", SPARSE)
    fleet.create(["new"], "web:2", SPARSE)
    records = {r["name"]: r["successor"] for r in json.loads(said(capsys, "list", "--format", "json").out)}
    assert records == {"old": "web:2", "new": None}
    assert "successor:" in said(capsys, "show", "old").out
    assert "successor:" not in said(capsys, "show", "new").out
    sorted_ = said(capsys, "list", "--columns", "name,successor", "--sort", "successor").out.splitlines()
    assert [line.split() for line in sorted_[1:]] == [["old", "web:2"], ["new", "-"]]
    # Who cuts the table gets a reference; people a mark, where there is room.
    assert "web:1 " in said(capsys, "list").out
    whole = on_a_terminal.shown(state, "list", columns=100)[1]
    assert "web:1↑" in whole and "web:2↑" not in whole
    assert "web:1^" in on_a_terminal.shown(state, "list", columns=100, environment={"LC_ALL": "C"})[1]
    narrow = len(said(capsys, "list").out.splitlines()[0])
    assert "↑" not in on_a_terminal.shown(state, "list", columns=narrow - 1)[1]


def test_machines_are_listed_where_masters_cannot_be_read(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.create(["old"], "web:1", SPARSE)
    manifest = fleet.masters.folder(fleet.masters.find("web:2")) / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_text("{}")
    found = said(capsys, "list", "--format", "json")
    assert found.code == 0 and json.loads(found.out)[0]["successor"] is None
