"""A rebase carried out on real disks of real masters, and the result below a real overlayfs mount."""

import ast
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox import run
from skinnybox.delta.rebase import doing, masters, moves, tasks
from skinnybox.delta.rebase.doing import Done
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.errors import Blocked, Cancelled, Conflict, Corrupt
from skinnybox.ext4 import open_volume
from skinnybox.model import Master
from skinnybox.operation import Operation
from tests.image import test_rebase_plan as planned
from tests.image.overlaid import Machine
from tests.image.test_rebase_plan import IMAGES, YEAR, live
from tests.unit import test_rebase_do_property as random_machines
from tests.unit.rebased import Thing, f
from tests.unit.rebased_disk import Rebase, is_told, overlay, without_confinement

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root")
pytestmark = [pytest.mark.image, needs_root]

GUEST = """
mount -o loop,ro "$1" "$3"
mount -o loop "$2" "$4"
mount -t overlay -o "lowerdir=$3,upperdir=$4/upper,workdir=$4/work" overlay "$5"
cd "$5"
sh -euc "$6"
cd /
umount "$5"
umount "$4"
"""
state, two, machine = planned.state, planned.two, planned.machine
Build = Callable[..., Done]


@pytest.fixture
def build(state: Path, two: tuple[Master, Master], machine: Machine, tmp_path: Path) -> Iterator[Build]:
    """Into new.img."""
    with ExitStack() as held:
        old, new = (held.enter_context(masters.opened(state / "masters", master, state)) for master in two)

        def built(policy: Policy | None = None, operation: Operation | None = None) -> Done:
            target = tmp_path / "new.img"
            target.unlink(missing_ok=True)
            target.touch(mode=0o600)
            os.truncate(target, machine.image.stat().st_size)
            before = machine.image.read_bytes()
            try:
                return doing.build(
                    machine.image, target, (old, new), policy or Policy(), (IMAGES, IMAGES),
                    operation or Operation(), identifier="f00d", says_all="--dry-run says it",
                )  # fmt: skip
            finally:
                assert machine.image.read_bytes() == before
                assert sorted(path.name for path in tmp_path.glob(".*")) == []
                assert target.stat().st_uid == os.geteuid()

        yield built


@pytest.fixture
def after(machine: Machine, tmp_path: Path) -> Machine:
    """The machine that new.img is of, on the new master."""
    found = Machine.__new__(Machine)
    found.folder, found.image, found.lower = machine.folder, tmp_path / "new.img", tmp_path / "tree-web-2"
    return found


def look(machine: Machine, script: str) -> dict[str, str]:
    """What a script prints, by its first word."""
    said = machine.act("/bin/sh", "-euc", script).decode()
    return dict(line.split(" ", 1) for line in said.splitlines())


def _content(machine: Machine, path: str) -> str:
    return machine.act("/bin/sh", "-euc", f"cat {path}").decode()


def test_a_year_of_life(build: Build, machine: Machine, after: Machine) -> None:
    live(machine, YEAR)
    done = build()
    assert done.identifier == "f00d" and {"certificates", "locales"} <= set(done.tasks)
    content = look(
        after,
        "for file in usr/bin/* usr/lib/libssl.so.3 etc/hostname etc/resolv.conf usr/share/redis/* var/secret "
        'etc/ssl/certs/* usr/lib/locale/*; do echo "$file $(cat $file)"; done',
    )
    assert content == {
        "usr/bin/held": "1", "usr/bin/own": "5", "usr/bin/redis": "7", "usr/bin/web": "2",
        "usr/lib/libssl.so.3": "3", "etc/hostname": "web-01", "etc/resolv.conf": "nameserver 9.9.9.9",
        "usr/share/redis/doc": "7", "usr/share/redis/mine": "m", "var/secret": "s",
        "etc/ssl/certs/ca-certificates.crt": "new roots", "usr/lib/locale/locale-archive": "C",
    }  # fmt: skip
    owners = look(after, "stat -c '%n %u:%g' var/secret usr/share/key")
    assert owners == {"var/secret": "102:102", "usr/share/key": "102:102"}
    versions = look(after, r"""awk '/^Package/{p=$2} /^Version/{print p, $2}' var/lib/dpkg/status""")
    assert versions == {"held": "1", "own": "5", "redis": "7", "ssl": "3", "web": "2"}
    conf = _content(after, "etc/web.conf")
    assert "Port 2222" in conf and "PrintMotd yes" in conf
    accounts = _content(after, "etc/passwd")
    assert {"sshd:x:102", "redis:x:101"} < {":".join(line.split(":")[:3]) for line in accounts.splitlines()}
    assert look(after, "find usr/lib/git-core usr/bin/git | sed 's/$/ x/'; true || echo") == {
        "usr/lib/git-core": "x"
    }


def test_what_the_first_start_is_to_do(build: Build, machine: Machine, after: Machine) -> None:
    active = "skinnybox-active-units 1\\nunit web.service\\nunit gone.service\\nend\\n"
    live(machine, f'{YEAR}\nwrite("{tasks.ACTIVE}", "{active}")\nwrite("{tasks.PATH}.done", "x")')
    done = build()
    text = _content(after, tasks.PATH)
    words = "".join(f"task {word}\n" for word in done.tasks)
    assert text == f"skinnybox-rebase 1\nid f00d\n{words}unit web.service\nend\n"
    listed = look(after, "stat -c '%n %a %u' var/lib/skinnybox/*")
    assert listed == {tasks.ACTIVE: "644 0", tasks.PATH: "600 0", moves.PATH: "600 0"}
    assert done.renumbers and "\nmove f00d\nfrom " in _content(after, moves.PATH)


def test_a_held_package_stays_whole(build: Build, machine: Machine, after: Machine) -> None:
    """Its files were the old master's, and the machine never wrote them: they are brought."""
    live(machine, 'debian.hold(root, "web")')
    build(Policy(on_conflict=Choice.OURS))
    listed = look(after, "for file in usr/bin/web usr/lib/web/*; do echo $file $(cat $file); done")
    assert listed == {"usr/bin/web": "1", "usr/lib/web/old.so": "1"}
    status = _content(after, "var/lib/dpkg/status")
    assert "Package: web\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 1\n" in status


def test_two_files_are_not_one_where_the_new_master_has_the_same_uuid_and_numbers(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied up from inode 12 is taken for inode 12 of a new master with that UUID, which is another
    file: who writes to the one writes to both. No image has another's UUID, and origins are taken off: either
    is enough."""
    without_confinement(monkeypatch)
    disk = overlay(tmp_path / "disk.img", cache, {})
    old, new = _image(tmp_path, "f0"), _image(tmp_path, "g0")
    other = _image(tmp_path, "g0", uuid="5b0c1f6e-6f76-4572-8c61-790000000010")
    _on(tmp_path, disk, old, "echo mine >> f0")
    for name in ("naive.img", "other.img"):
        shutil.copy(disk, tmp_path / name)
    policy = Policy(on_conflict=Choice.OURS)
    upper, orders = Rebase(tmp_path, monkeypatch, policy).of(disk, {b"f0": f("v\n")}, {b"g0": f("v\n")})
    assert len(orders) == 3 and upper[b"f0"].content == b"v\nmine\n"
    told = {}
    for name, lower in (("naive.img", new), ("other.img", other), ("new.img", new)):
        _on(tmp_path, tmp_path / name, lower, "cat f0 > /dev/null; echo more >> g0")
        with open_volume(tmp_path / name) as volume:
            nodes = [volume.lookup(b"upper/%s" % each) for each in (b"f0", b"g0")]
            told[name] = [(b"".join(volume.read(node)), node.links) for node in nodes]
    assert told["new.img"] == told["other.img"] == [(b"v\nmine\n", 1), (b"v\nmore\n", 1)]
    assert told["naive.img"] == [(b"v\nmine\nmore\n", 2)] * 2  # the kernel still does what this is about


def _image(folder: Path, name: str, uuid: str = "5b0c1f6e-6f76-4572-8c61-790000000009") -> Path:
    """A master of one file, which is inode 12 in each."""
    image = folder / f"{name}-{uuid}.ext4"
    tree = image.with_suffix(".tree")
    tree.mkdir()
    (tree / name).write_text("v\n")
    image.touch()
    os.truncate(image, 8 << 20)
    run.run(["mke2fs", "-q", "-t", "ext4", "-U", uuid, "-d", tree, image])
    return image


def _on(folder: Path, disk: Path, lower: Path, script: str) -> str:
    mounts = [folder / f"mount-{name}" for name in ("lower", "disk", "merged")]
    for mount in mounts:
        mount.mkdir(exist_ok=True)
    words = ["sh", *map(str, (lower, disk, *mounts)), script]
    return run.run(["unshare", "-m", "sh", "-ec", GUEST, *words]).stdout.decode()


LIST = """
import os, stat, sys
def walk(folder):
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path, info = entry.path[2:], os.lstat(entry.path)
        kind = {stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l"}.get(stat.S_IFMT(info.st_mode), "?")
        content = open(entry.path, "rb").read() if kind == "-" else b""
        content = os.readlink(entry.path) if kind == "l" else content
        print(repr((path, kind, content, stat.S_IMODE(info.st_mode), info.st_uid)))
        if kind == "d":
            walk(entry.path)
walk(b".")
"""


@pytest.mark.parametrize("examples", [3, pytest.param(100, marks=pytest.mark.full)])
def test_what_the_kernel_shows_is_what_the_model_says(examples: int, tmp_path: Path, cache: Path) -> None:
    numbers = itertools.count()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=st.data())
    def holds(case: st.DataObject) -> None:
        around = tmp_path / str(next(numbers))
        around.mkdir()
        with pytest.MonkeyPatch.context() as monkeypatch:
            without_confinement(monkeypatch)
            _, new, wanted = random_machines.rebased(case, around, cache, monkeypatch)
        machine = Machine.__new__(Machine)
        machine.folder, machine.image, machine.lower = around, around / "new.img", around / "lower"
        for name in ("lower", "mount", "merged"):
            (around / name).mkdir()
        _put(machine.lower, new)
        said = machine.act(sys.executable, "-Bc", LIST).decode().splitlines()
        found = {path: Thing(*rest) for path, *rest in map(ast.literal_eval, said)}
        assert {path: t for path, t in found.items() if not is_told(path)} == wanted
        shutil.rmtree(around)

    holds()


def _put(root: Path, tree: Mapping[bytes, Thing]) -> None:
    for path, t in tree.items():
        place = os.fsencode(root) + b"/" + path
        if t.type == "d":
            os.makedirs(place, exist_ok=True)  # noqa: PTH103 (bytes)
        elif t.type == "l":
            os.symlink(t.content, place)  # noqa: PTH211 (bytes)
        else:
            Path(os.fsdecode(place)).write_bytes(t.content)
        os.chown(place, t.uid, t.gid, follow_symlinks=False)
        if t.type != "l":
            os.chmod(place, t.mode)  # noqa: PTH101 (bytes)


def test_what_is_open_is_refused(build: Build, machine: Machine) -> None:
    live(machine, 'write("etc/web.conf", read("etc/web.conf").replace("PrintMotd no", "PrintMotd maybe"))')
    with pytest.raises(Conflict, match=r"/etc/web\.conf: content") as error:
        build()
    assert (error.value.hint or "").startswith("--dry-run says it; ") and "--take" in (error.value.hint or "")
    ours = Policy(on_conflict=Choice.OURS, pin=("/var",))
    assert build(ours).orders
    live(machine, 'os.unlink("usr/bin/web"); write("usr/bin/web/x", "folder")')
    with pytest.raises(Blocked, match="/usr/bin/web"):
        build()


def test_one_that_was_not_shut_down_is_replayed(build: Build, machine: Machine, after: Machine) -> None:
    live(machine, YEAR)
    run.run(["debugfs", "-w", "-R", "ssv state 0", machine.image])
    assert build().orders


def test_one_that_is_damaged_is_refused(build: Build, machine: Machine) -> None:
    live(machine, YEAR)
    run.run(["debugfs", "-w", "-R", "clri /upper/etc", machine.image])
    with pytest.raises(Corrupt):
        build()


def test_it_can_be_cancelled(build: Build, machine: Machine) -> None:
    operation = Operation()
    operation.cancel()
    with pytest.raises(Cancelled):
        build(operation=operation)
