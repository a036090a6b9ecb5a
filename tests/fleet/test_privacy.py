"""A state folder is its user's alone, whatever the umask was: nobody else writes there, or it is refused."""

import grp
import os
import pwd
import re
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import layout, private
from skinnybox.emulation import verdicts
from skinnybox.errors import Blocked
from skinnybox.fleet.repair import modes
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import load
from skinnybox.issues import Deed
from skinnybox.model import Master
from skinnybox.overlays import template as templates
from skinnybox.sizes import MIB
from tests.fleet.conftest import HOST_KEYS, SPARSE, open_fake, said
from tests.samples import seal

NEIGHBOUR = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def place() -> Iterator[Path]:
    """Where everybody gets to; what pytest makes is closed above."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=lambda mask: f"umask {mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def used(umask: int, place: Path) -> Path:
    """A state folder in which everything has been done once."""
    state = place / "deep" / "state"
    seal(state, place, "tiny", "1")
    with open_fake(state) as fleet:
        first = fleet.create(["a", "b"], "tiny", SPARSE)[0]
        fleet._catalog.pin_host_keys(first.uuid, HOST_KEYS)
        fleet.start(["a"])
        fleet.overlays.snapshot(["b"], "before")
        fleet.overlays.reset(["b"])
        fleet.masters.verify("tiny")
        assert fleet.ssh("a", ["true"]) == 255  # nobody is there, but it pins the keys
        fleet.overlays.seed_disk("b", place / "seed", master_disk="xvda", overlay_disk="xvdb", blank=False)
    return state


def test_all_that_is_made_has_the_mode_of_the_table(used: Path, place: Path) -> None:
    found = {}
    for path in used.rglob("*"):
        part = layout.placed(str(path.relative_to(used)))
        assert part is not None, f"{path} is not in layout.py"
        found[part.part.path] = stat.S_IMODE(path.lstat().st_mode), part.part.mode
    assert {path: modes for path, modes in found.items() if modes[0] != modes[1]} == {}
    assert len(found) > 20 and {"ssh/id_ed25519", "ssh/known_hosts/<uuid>", "state.db"} <= set(found)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (used, used.parent)} == {layout.FOLDER}
    assert stat.S_IMODE((place / "seed").stat().st_mode) == layout.FILE


PLANTS = """
import os, pathlib, sys
file = pathlib.Path(sys.argv[1])
for way in (lambda: file.read_bytes(), lambda: file.write_bytes(b"x"), lambda: file.unlink(),
            lambda: file.with_name("planted").touch(), lambda: file.parent.rename(file.parents[1] / "t")):
    try:
        way()
    except PermissionError:
        continue
    sys.exit("planted")
"""


@as_root
def test_a_neighbour_plants_nothing_in_the_template_of_all_machines(used: Path) -> None:
    """One did, and his key was in root's authorized_keys of every machine made afterwards."""
    (file,) = (used / "templates").glob("overlay-*")
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    done = subprocess.run(
        [python, "-I", "-S", "-c", PLANTS, file],
        user=NEIGHBOUR,
        group=NEIGHBOUR,
        extra_groups=[],
        check=False,
    )
    assert done.returncode == 0


def _of_another(file: Path) -> None:
    os.chown(file, NEIGHBOUR, NEIGHBOUR)


def _open_once(file: Path) -> None:
    """Written to while it was open, and closed since, as `chmod -R go-w` does it."""
    file.chmod(0o644)


def _linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _twice(file: Path) -> None:
    os.link(file, file.with_name("elsewhere"))


@pytest.mark.parametrize("how", [pytest.param(_of_another, marks=as_root), _open_once, _linked, _twice])
def test_a_template_that_is_not_ours_alone_is_made_anew(how: Callable[[Path], None], tmp_path: Path) -> None:
    made = templates.template(tmp_path / "templates", 64 * MIB)
    (file,) = (tmp_path / "templates").iterdir()
    planted = templates.Template(
        size=made.size, seed_capacity=made.seed_capacity, pieces=((0, b"evil"),), places=made.places,
        superblocks=made.superblocks,
    )  # fmt: skip
    file.write_bytes(templates._saved(planted))
    assert (
        templates.template(tmp_path / "templates", 64 * MIB).pieces == planted.pieces
    )  # its digest is right
    how(file)
    assert not templates.is_whole(file)
    assert templates.template(tmp_path / "templates", 64 * MIB).pieces == made.pieces
    assert templates.is_whole(file) and file.stat().st_uid == os.geteuid()


PARTS = [
    "",
    "host",
    "state.db",
    "masters",
    "templates",
    "instances",
    "ssh",
    "ssh/id_ed25519",
    "ssh/known_hosts",
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("bits", [0o002, 0o020])
def test_what_others_may_write_to_is_refused_and_can_be_closed(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str], part: str, bits: int
) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    (state / "ssh" / "known_hosts").mkdir(exist_ok=True, mode=0o700)
    path = state / part
    path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)
    for words in (["list"], ["create", "b", "-m", "tiny"], ["doctor"], ["repair", "--dry-run"]):
        done = said(capsys, "--state", str(state), "--host", "fake", *words)
        assert done.code == Blocked.exit_code and str(path) in done.err
    hint = re.search(r"(chmod go-w .*)", done.err)
    assert hint is not None
    subprocess.run(shlex.split(hint[1]), check=True)
    assert said(capsys, "--state", str(state), "--host", "fake", "list", "--names").out == "a\n"


@as_root
@pytest.mark.parametrize("part", PARTS)
def test_what_another_user_owns_is_refused(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    """Also by root, who would make files in it that its owner cannot use."""
    fleet.create(["a"], "tiny", SPARSE)
    (state / "ssh" / "known_hosts").mkdir(exist_ok=True, mode=0o700)
    os.chown(state / part, NEIGHBOUR, NEIGHBOUR)
    done = said(capsys, "--state", str(state), "--host", "fake", "list")
    assert done.code == Blocked.exit_code
    assert f"{state / part} belongs to another user, nobody" in done.err and "sudo -u nobody" in done.err


@as_root
@pytest.mark.parametrize("file", ["", "manifest.json", "root.erofs"])
def test_a_master_that_another_user_put_there_is_no_master(
    fleet: Fleet, state: Path, master: Master, file: str
) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    os.chown(fleet.masters.folder(master) / file, NEIGHBOUR, NEIGHBOUR)
    for use in (fleet.masters.all, lambda: fleet.create(["b"], "tiny", SPARSE)):
        with pytest.raises(Blocked, match="belongs to another user"):
            use()
    if not file:
        (finding,) = [f for f in fleet.upkeep.examine().findings if f.path.parent == state / "masters"]
        assert finding.deed is Deed.KEEP and "another user put there" in finding.what


def test_a_symlink_leads_to_what_is_looked_at(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    (state / "masters").rename(tmp_path / "masters")
    (state / "masters").symlink_to(tmp_path / "masters")
    private.refuse_others([state / "masters"])
    (tmp_path / "masters").chmod(0o777)
    with pytest.raises(Blocked, match="may write"):
        private.refuse_others([state / "masters"])


@pytest.mark.parametrize(("mode", "refused"), [(0o1777, False), (0o777, True), (0o755, False)])
def test_a_place_that_everybody_can_take_away_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, refused: bool
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(mode)
    done = said(capsys, "--state", str(above / "more" / "state"), "--host", "fake", "list")
    assert done.code == (Blocked.exit_code if refused else 0)
    assert not refused or f"chmod o-w {above}" in done.err


def test_a_folder_that_others_may_only_read_goes_on_working_and_is_closed_by_repair(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the version before made it."""
    fleet.create(["a"], "tiny", SPARSE)
    for path in (state, *state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    command = ("--state", str(state), "--host", "fake")
    assert said(capsys, *command, "list", "--names").out == "a\n"
    line = next(line for line in said(capsys, *command, "doctor").out.splitlines() if " privacy " in line)
    assert line.startswith("warn") and "open to other users" in line
    shown = said(capsys, *command, "repair", "--dry-run")
    assert f"close      {state}\n" in shown.out and "mode 0755 where 0700" in shown.out
    assert said(capsys, *command, "repair", "--yes").code == 0
    for path in (state, *state.rglob("*")):
        placed = layout.placed(str(path.relative_to(state)))
        wanted = placed.part.mode if placed else layout.FOLDER
        assert stat.S_IMODE(path.stat().st_mode) & ~wanted == 0, path
    assert not list((state / "templates").glob("overlay-*"))  # nobody knows what is in them
    assert fleet.upkeep.examine().findings == []
    assert "ok    privacy" in said(capsys, *command, "doctor").out


@pytest.mark.parametrize("name", ["", "config.toml"])
def test_settings_that_others_may_write_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "skinnybox" / "config.toml"
    file.parent.mkdir()
    file.write_text('memory = "1G"\n')
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load(environment, {}).memory == "1G"
    (file.parent / name).chmod(0o777)
    with pytest.raises(Blocked, match=str(file.parent / name)):
        load(environment, {})


def test_a_group_of_ones_own_is_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where distributions give each user one, with a umask of 002; root's group is not of that kind."""
    tmp_path.chmod(0o775)
    with pytest.raises(Blocked):
        private.refuse_others([tmp_path])
    monkeypatch.setattr(private, "_is_own_group", lambda gid: gid == tmp_path.stat().st_gid)
    private.refuse_others([tmp_path])
    tmp_path.chmod(0o777)
    with pytest.raises(Blocked):
        private.refuse_others([tmp_path])


@pytest.mark.parametrize(
    ("uid", "group", "gid", "members", "own"),
    [
        (1000, "ann", 1000, [], True),
        (1000, "ann", 1000, ["ann"], True),
        (1000, "ann", 1000, ["ann", "bob"], False),
        (1000, "staff", 1000, [], False),  # who else has it as theirs, no list says
        (1000, "ann", 1001, [], False),
        (1001, "ann", 1000, [], False),  # of whom nothing is known
        (0, "ann", 1000, [], False),
    ],
)
def test_a_group_is_ones_own_where_nobody_else_can_be_in_it(
    monkeypatch: pytest.MonkeyPatch, uid: int, group: str, gid: int, members: list[str], own: bool
) -> None:
    users = {1000: pwd.struct_passwd(("ann", "x", 1000, 1000, "", "/home/ann", "/bin/sh"))}
    groups = {gid: grp.struct_group((group, "x", gid, members))}
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(pwd, "getpwuid", users.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    written = os.stat_result((stat.S_IFDIR | 0o775, 1, 1, 1, uid, gid, 0, 0, 0, 0))
    assert private.is_ours(written) is own


@as_root
def test_a_verdict_that_a_neighbour_wrote_is_not_believed(tmp_path: Path) -> None:
    """That this passt keeps the host's loopback closed, for one."""
    cache = tmp_path / "cache"
    verdicts.keep("passt", "1", {"works": True}, cache)
    assert verdicts.recall("passt", "1", cache)
    os.chown(verdicts.file_of("passt", cache), NEIGHBOUR, NEIGHBOUR)
    assert verdicts.recall("passt", "1", cache) is None
    verdicts.keep("passt", "1", {"works": True}, cache)
    cache.chmod(0o777)  # as a umask of 000 left it
    assert verdicts.recall("passt", "1", cache) is None
    verdicts.keep("passt", "1", {"works": True}, cache)
    assert verdicts.recall("passt", "1", cache) and stat.S_IMODE(cache.stat().st_mode) == 0o700
    os.chown(cache, NEIGHBOUR, NEIGHBOUR)
    verdicts.keep("passt", "1", {"works": False}, cache)
    assert verdicts.recall("passt", "1", cache) is None


def test_what_took_its_place_is_not_closed(state: Path, tmp_path: Path) -> None:
    """Whoever may write there puts a link to another's file in its place, between look and deed."""
    anothers, notes = tmp_path / "anothers", state / "state.db"
    anothers.write_text("theirs")
    anothers.chmod(0o644)
    state.mkdir(exist_ok=True)
    notes.touch()
    for path, mode in ((state, 0o777), (notes, 0o666)):
        path.chmod(mode)
    deeds = [found for found in modes.open_to_others(state) if found.path == notes]
    notes.unlink()
    notes.symlink_to(anothers)
    assert len(deeds) == 1 and deeds[0].act is not None
    deeds[0].act()
    assert stat.S_IMODE(anothers.stat().st_mode) == 0o644
