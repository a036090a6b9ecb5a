"""`rebase --dry-run`: what a new master under stopped machines would mean, for a fleet, one, a path."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.model import GUEST_PROTOCOL, Instance
from tests.fleet.conftest import SPARSE, Said, open_fake, said
from tests.fleet.test_disks import image
from tests.fleet.test_forms import FORMS, form
from tests.image import debianlike as debian
from tests.samples import seal

CONF = "Port 80\nUser www\nGroup www\nLog yes\nDebug no\n"


def _tree(root: Path, version: str, protocol: int = GUEST_PROTOCOL) -> None:
    debian.tree(root)
    (root / "usr/lib/skinnybox/protocol").write_text(f"{protocol}\n")
    conf = CONF if version == "1" else CONF.replace("Debug no", "Debug yes")
    debian.install(root, "web", version, {"/usr/bin/web": version}, conffiles={"/etc/web.conf": conf})
    debian.account(root, "sshd", 100 + int(version))
    if version == "2":
        debian.install(root, "redis", "7", {"/usr/bin/redis": "7"})
        debian.enable(root, "redis.service")


@pytest.fixture(scope="module")
def two_masters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """web:1 and web:2, in a state folder."""
    around = tmp_path_factory.mktemp("masters")
    for version in "12":
        _tree(around / f"tree-web-{version}", version)
        seal(around / "state", around, "web", version, unrelated=True)
    return around / "state"


@pytest.fixture
def machines(state: Path, two_masters: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Instance]:
    """clean did nothing of note, merged edited another line, disputed the same, blocked made a folder."""
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    shutil.copytree(two_masters, state)
    with open_fake(state) as fleet:
        made = fleet.create(["clean", "merged", "disputed", "blocked"], "web:1", SPARSE)
    found = {instance.name: instance for instance in made}
    put(image(state, found["clean"]), "own", "mine")
    put(image(state, found["merged"]), "etc/web.conf", CONF.replace("80", "8080"))
    put(image(state, found["disputed"]), "etc/web.conf", CONF.replace("Debug no", "Debug maybe"))
    put(image(state, found["blocked"]), "usr/bin/web/file", "x")
    return found


def put(overlay: Path, path: str, content: str) -> None:
    """As the guest would, into its upper directory."""
    source = overlay.with_name("content")
    source.write_text(content)
    source.chmod(0o644)
    folders = [str(folder) for folder in list(Path(path).parents)[-2::-1]]
    orders = [f"mkdir upper/{folder}" for folder in folders] + [f"write {source} upper/{path}"]
    orders += [f"set_inode_field upper/{folder} mode 040755" for folder in folders]
    script = overlay.with_name("orders")
    script.write_text("".join(f"{order}\n" for order in orders))
    run.run(["debugfs", "-w", "-f", script, overlay])
    source.unlink()
    script.unlink()


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    return said(capsys, "rebase", *words, "--onto", "web:2", "--dry-run")


def records(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    found = json.loads(plan(capsys, *words, "--format", "json").out)
    assert isinstance(found, list)
    return found


@pytest.mark.usefixtures("machines")
def test_a_fleet_has_a_line_for_each_machine(capsys: pytest.CaptureFixture[str]) -> None:
    shown = plan(capsys, "*")
    head, *lines = shown.out.splitlines()
    assert head.split()[:3] == ["NAME", "MASTER", "ONTO"] and shown.code == 5
    told = {line.split()[0]: line.split()[-1] for line in lines}
    assert told == {"clean": "clean", "merged": "clean", "disputed": "conflicts", "blocked": "blocked"}
    found = {record["name"]: record for record in records(capsys, "*")}
    assert found["merged"]["files"] == {"merged": 1} and found["clean"]["files"] == {"own": 1}
    assert found["clean"]["packages"] == {"only master": 2}
    assert found["clean"]["accounts"] == {"moved": 2} and found["clean"]["services"] == {"starts": 1}
    assert [(each["what"], each["name"]) for each in found["disputed"]["told"]] == [
        ("service", "redis.service"),
        ("file", "/etc/web.conf"),
    ]
    assert (found["disputed"]["conflicts"], found["blocked"]["blocked"]) == (1, 1)
    assert {record["decisions"] for record in found.values()} == {None}


CODES = [
    (["clean"], 0),
    (["merged"], 0),
    (["merged", "--on-conflict", "fail"], 4),
    (["disputed"], 4),
    (["disputed", "--on-conflict", "theirs"], 0),
    (["disputed", "--take", "/etc"], 0),
    (["disputed", "--pin", "/etc/web.conf"], 0),
    (["clean", "disputed"], 4),
    (["blocked"], 5),
    (["blocked", "--on-conflict", "ours"], 5),
    (["blocked", "--take", "/usr/bin/web"], 0),
    (["none"], 3),
    (["clean", "--take", "etc"], 2),
    (["clean", "--rules", "{folder}/none"], 2),
    (["clean", "--rules", "{folder}/bad"], 2),
    (["disputed", "--rules", "{folder}/good"], 0),
    (["clean", "merged", "--explain", "/etc"], 2),
    (["clean", "--explain", "etc"], 2),
    (["clean", "--explain", "/etc/../etc/web.conf"], 2),
    (["disputed", "--pin", "/etc//web.conf"], 2),
]


@pytest.mark.usefixtures("machines")
def test_exit_codes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("mine /etc\n")
    (tmp_path / "good").write_text("# ours\nours /etc/*.conf\n")
    ended = []
    for words, _ in CODES:
        shown = plan(capsys, *(word.format(folder=tmp_path) for word in words))
        ended.append((words, shown.code))
    assert ended == CODES


@pytest.fixture
def next_release(machines: dict[str, Instance], state: Path, tmp_path: Path) -> str:
    """web:3 of Debian 99, and `clean` with a package of its own."""
    root = tmp_path / "tree-web-3"
    _tree(root, "2")
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="99"\nPRETTY_NAME="Debian"\n')
    seal(state, tmp_path, "web", "3", unrelated=True)
    grown = tmp_path / "grown"
    _tree(grown, "1")
    debian.install(grown, "own", "1", {"/usr/bin/own": "1"})
    put(image(state, machines["clean"]), "var/lib/dpkg/status", (grown / "var/lib/dpkg/status").read_text())
    return "web:3"


@pytest.mark.usefixtures("next_release")
def test_onto_another_release_says_what_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    merged = said(capsys, "rebase", "clean", "--onto", "web:3", "--dry-run")
    assert merged.code == 5 and "--replay" in merged.out
    shown = said(capsys, "rebase", "clean", "--onto", "web:3", "--dry-run", "--replay", "--format", "json")
    [found] = json.loads(shown.out)
    packages = {each["name"]: each for each in found["decisions"] if each["what"] == "package"}
    assert packages["own"]["fate"] == "reinstall" and shown.code == 5
    assert packages["packages"]["standing"] == "blocked" and "new master" in packages["packages"]["detail"]
    without = said(capsys, "rebase", "clean", "--onto", "web:3", "--dry-run", "--replay", "--without", "own")
    assert without.code == 0, without


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize(
    "words",
    [
        ["--without", "own"], ["--instead", "a=b"], ["--after", "true"], ["--replay", "--instead", "a"],
        ["--replay", "--without", "-x y"], ["--replay", "--after", " "], ["--replay", "--after", "a\nb"],
    ],
)  # fmt: skip
def test_what_only_a_replay_does_is_refused_elsewhere(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert said(capsys, "rebase", "clean", "--onto", "web:2", *words).code == 2


def test_one_machine_is_told_in_detail(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance]
) -> None:
    shown = plan(capsys, "disputed")
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0][0] == "STANDING"
    assert ["conflict", "file", "/etc/web.conf", "modify/modify", "ask", "content"] in rows
    assert shown.err.endswith(
        "disputed: web:1 -> web:2: 1 in dispute (--on-conflict, --rules, --take and --pin say who wins)\n"
    )
    (found,) = records(capsys, "disputed")
    assert {
        "what": "file", "class": "modify/modify", "fate": "ask", "name": "/etc/web.conf",
        "detail": "content", "standing": "conflict", "owner": None,
    } in found["decisions"]  # fmt: skip
    assert "old 1, new 2, machine 1" in next(d["detail"] for d in found["decisions"] if d["name"] == "web")
    assert "/etc/web.conf" in plan(capsys, "disputed", "--format", "csv").out


@pytest.mark.usefixtures("machines")
def test_the_form_that_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    """As tests/fleet/test_forms.py holds those of the others."""
    several = [record for record in records(capsys, "*") if record["name"] == "disputed"]
    (one,) = records(capsys, "disputed")
    words = ("disputed", "--explain", "/etc/web.conf", "--format", "json")
    explained = json.loads(plan(capsys, *words).out)
    forms = {"several": several, "one": [one], "explained": explained}
    shown = "".join(
        f"{name}\n" + "".join(f"  {line}\n" for line in form(found)) for name, found in forms.items()
    )
    for names, what in (("*", "columns"), ("disputed", "decisions")):
        shown += f"{what}: {plan(capsys, names, '--format', 'csv').out.splitlines()[0]}\n"
    assert shown == (FORMS / "rebase.txt").read_text()


@pytest.mark.usefixtures("machines")
def test_a_path_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    shown = plan(capsys, "disputed", "--explain", "/etc/web.conf")
    assert shown.code == 0 and "modify/modify: ask (conflict)" in shown.out
    assert "the machine altered it, and the new master has another than the old one" in shown.out
    assert "- 0644 0:0 sha256:" in shown.out
    below = plan(capsys, "blocked", "--explain", "/usr/bin/web/file").out
    assert "below opaque: keep" in below and "old master:" in below
    assert "nothing of its own there" in plan(capsys, "clean", "--explain", "/etc/web.conf").out
    folder = plan(capsys, "disputed", "--explain", "/etc/").out
    assert "nothing of its own but what is below it" in folder
    assert "below:      1 in dispute; such as /etc/web.conf\n" in folder
    assert "1 in dispute" in plan(capsys, "disputed", "--explain", "/").out
    words = ("disputed", "--explain", "/etc/web.conf", "--format", "json")
    found = json.loads(plan(capsys, *words).out)
    assert found["below"] == {"clean": 0, "conflict": 0, "blocked": 0, "first": None}
    assert found["old"]["digest"] != found["new"]["digest"] and found["decisions"][0]["why"]


def test_a_plan_writes_nothing(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance], state: Path
) -> None:
    assert said(capsys, "rebase", "clean", "--onto", "web:2", "--explain", "/etc").code == 2
    before = {path: path.read_bytes() for path in state.rglob("*.img")}
    plan(capsys, "*")
    assert {path: path.read_bytes() for path in state.rglob("*.img")} == before
    left = [path.name for path in state.rglob("*") if path.name.startswith((".copy-", ".settle-", "tmp"))]
    assert left == []


def test_what_runs_is_refused_and_the_others_are_told(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance]
) -> None:
    said(capsys, "start", "clean")
    shown = plan(capsys, "clean", "merged")
    assert shown.code == 5 and "clean is ready: rebase needs it stopped" in shown.err
    assert shown.out.splitlines()[1].startswith("merged")


def test_a_machine_that_is_there_already(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance]
) -> None:
    shown = said(capsys, "rebase", "clean", "--onto", "web:1", "--dry-run")
    assert (shown.code, shown.out) == (0, "") and "boots from that already" in shown.err
    several = said(capsys, "rebase", "*", "--onto", "web:1", "--dry-run")
    assert several.code == 0 and several.out.count("there") == 4


def test_whose_data_disk_has_to_follow_is_told(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance]
) -> None:
    assert said(capsys, "set", "clean", "--data", "48M", "--data-dir", "/srv").code == 0
    (found,) = records(capsys, "clean")
    told = [each["detail"] for each in found["decisions"] if each["class"] == "data disk"]
    assert told[0].startswith(
        "files on its data disk (/srv) are renumbered too, at its first start, and back by"
    )
    assert "101 -> 102" in told[0] and len(told) == 2 and found["blocked"] == 0
    for path, number in (("/srv", 2), ("/srv/a", 2), ("/srva", 0)):
        shown = plan(capsys, "clean", "--explain", path, "--format", "json")
        assert len(json.loads(shown.out)["decisions"]) == number, path


def test_files_on_a_data_disk_that_could_not_follow_or_come_back(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance], state: Path, tmp_path: Path
) -> None:
    """Either guest part is one from before that."""
    for name, version in (("before", "1"), ("after", "2")):
        _tree(tmp_path / f"tree-{name}-1", version, protocol=4)
        seal(state, tmp_path, name, "1", unrelated=True)
    with open_fake(state) as fleet:
        fleet.create(["older"], "before:1", SPARSE)
    for name, onto, whose in (("clean", "after:1", "after:1"), ("older", "web:2", "before:1")):
        assert said(capsys, "rebase", name, "--onto", onto, "--dry-run").code == 0
        assert said(capsys, "set", name, "--data", "48M", "--data-dir", "/srv").code == 0
        shown = said(capsys, "rebase", name, "--onto", onto, "--dry-run")
        assert shown.code == 5 and f"the guest part of {whose} could" in shown.out.replace("cannot", "could")
        done = said(capsys, "rebase", name, "--onto", onto)
        assert done.code == 5 and "has a data disk, and accounts get other numbers" in done.err
        with open_fake(state) as fleet:
            assert fleet.machine(name).instance.trial is None


def test_a_disk_that_was_not_shut_down_is_read_from_a_copy(
    capsys: pytest.CaptureFixture[str], machines: dict[str, Instance], state: Path
) -> None:
    overlay = image(state, machines["merged"])
    run.run(["debugfs", "-w", "-R", "feature needs_recovery", overlay])
    before = overlay.read_bytes()
    assert plan(capsys, "merged").code == 0
    assert overlay.read_bytes() == before


def test_several_machines_share_what_is_read_of_their_masters(
    machines: dict[str, Instance], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skinnybox.delta.rebase import masters
    from skinnybox.fleet.rebases import Wishes

    opened: list[str] = []
    usual = masters.opened

    def counted(store: Path, master: Any, scratch: Path, **above: Any) -> Any:
        opened.append(master.reference)
        return usual(store, master, scratch, **above)

    monkeypatch.setattr(masters, "opened", counted)
    with open_fleet(Settings(state=state, host="fake")) as fleet:
        assert isinstance(fleet, Fleet)
        assert len(fleet.rebases.plans(["*"], "web:2", Wishes())) == 4
    assert sorted(opened) == ["web:1", "web:2"]
