"""The plan of a rebase, from a disk below a real overlayfs mount and two real masters: each trap, read as it
lies there. What follows from what was read is in tests/unit/test_rebase_*."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from skinnybox.delta.rebase import masters, planning
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.values import Decision
from skinnybox.delta.settled import Unsettled
from skinnybox.errors import Blocked, Corrupt
from skinnybox.model import Master
from tests.image import debianlike as debian
from tests.image.overlaid import Machine
from tests.samples import seal

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root")
pytestmark = [pytest.mark.image, needs_root]
ROOT = Path(__file__).parents[2]

BASE, IMAGES = b"skinnybox-base 1\nimage sha256:1 2\nend\n", ["sha256:1"]
SSHD = "Port 22\nPermitRootLogin no\nUsePAM yes\nX11Forwarding no\nPrintMotd no\n"
CA, ARCHIVE = "etc/ssl/certs/ca-certificates.crt", "usr/lib/locale/locale-archive"


def first(root: Path) -> None:
    debian.install(
        root, "web", "1", {"/usr/bin/web": "1", "/usr/lib/web/old.so": "1"}, conffiles={"/etc/web.conf": SSHD}
    )
    debian.install(root, "ssl", "1", {"/usr/lib/libssl.so.3": "1", "/usr/share/ssl/gone": "1"})
    debian.install(root, "git", "1", {"/usr/bin/git": "1", "/lib/git-core/one": "1"})
    debian.install(root, "held", "1", {"/usr/bin/held": "1"})
    debian.account(root, "sshd", 101)
    debian.enable(root, "web.service")
    for path, text in ((CA, "old roots"), (ARCHIVE, "C"), ("usr/share/app/a", "1"), ("usr/share/app/b", "1")):
        debian._place(root / path, text)
    (root / "etc/resolv.conf").symlink_to("../run/resolv.conf")
    (root / "usr/share/key").write_text("k")
    os.chown(root / "usr/share/key", 101, 101)


def second(root: Path) -> None:
    """Security updates, a package that grew, and one more."""
    first(root)
    changed = SSHD.replace("PrintMotd no", "PrintMotd yes")
    (root / "etc/web.conf").write_text(changed)
    debian.install(root, "web", "2", {"/usr/bin/web": "2"}, conffiles={"/etc/web.conf": changed})
    debian.install(root, "ssl", "3", {"/usr/lib/libssl.so.3": "3", "/usr/share/ssl/gone": "3"})
    debian.install(
        root, "git", "2", {"/usr/bin/git": "2", "/lib/git-core/one": "2", "/lib/git-core/two": "2"}
    )
    debian.install(root, "redis", "7", {"/usr/bin/redis": "7", "/usr/share/redis/doc": "7"})
    for file in ("passwd", "group"):
        text = (root / "etc" / file).read_text().replace(":101", ":102")
        (root / "etc" / file).write_text(text)
    debian.account(root, "redis", 101)
    debian.enable(root, "redis.service")
    os.chown(root / "usr/share/key", 102, 102)
    (root / CA).write_text("new roots")
    (root / "usr/share/app/a").write_text("2")


HEAD = f"""
import os
from pathlib import Path
from tests.image import debianlike as debian
root, CA, ARCHIVE = Path("."), {CA!r}, {ARCHIVE!r}
def read(path):
    return Path(path).read_text()
def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
"""
YEAR = """
debian.install(root, "ssl", "2", {"/usr/lib/libssl.so.3": "2"})
debian.install(root, "own", "5", {"/usr/bin/own": "5", "/usr/share/own/doc": "5"})
debian.remove(root, "git")
debian.account(root, "own", 400)
debian.enable(root, "own.service")
write("etc/web.conf", read("etc/web.conf").replace("Port 22", "Port 2222"))
write(CA, "old roots and ours")
write(ARCHIVE, "C en_US")
write("usr/local/lib/python3.11/dist-packages/flask.py", "f")
write("boot/vmlinuz-own", "k")
write("var/secret", "s"); os.chown("var/secret", 101, 101)
os.unlink("etc/resolv.conf"); write("etc/resolv.conf", "nameserver 9.9.9.9")
os.makedirs("usr/share/redis.tmp"); os.rename("usr/share/redis.tmp", "usr/share/redis")
write("usr/share/redis/mine", "m")
write("etc/hostname", "web-01")
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def two(state: Path, tmp_path: Path) -> tuple[Master, Master]:
    return _sealed(state, tmp_path, first, second)


def _sealed(
    state: Path, scratch: Path, old: Callable[[Path], None], new: Callable[[Path], None], release: str = "12"
) -> tuple[Master, Master]:
    found = []
    for version, fill in (("1", old), ("2", new)):
        fill(debian.tree(scratch / f"tree-web-{version}", release if version == "2" else "12"))
        found.append(seal(state, scratch, "web", version, unrelated=True))
    return found[0], found[1]


@pytest.fixture
def machine(tmp_path: Path, cache: Path, two: tuple[Master, Master]) -> Machine:
    return _machine(tmp_path, cache)


def _machine(tmp_path: Path, cache: Path) -> Machine:
    (tmp_path / "machine").mkdir()
    made = Machine(tmp_path / "machine", cache, BASE)
    made.lower.rmdir()
    made.lower = tmp_path / "tree-web-1"
    return made


def live(machine: Machine, script: str) -> None:
    """As root in the machine."""
    machine.act(sys.executable, "-Bc", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{HEAD}{script}")


@pytest.fixture
def plan(
    state: Path, two: tuple[Master, Master], machine: Machine
) -> Iterator[Callable[..., list[Decision]]]:
    with ExitStack() as held:
        old, new = (held.enter_context(masters.opened(state / "masters", master, state)) for master in two)

        def planned(policy: Policy | None = None) -> list[Decision]:
            with planning.planned(machine.image, old, new, policy or Policy(), IMAGES) as found:
                return list(found)

        yield planned


def told(found: list[Decision]) -> dict[str, str]:
    return {
        f"{each.subject} {each.name}": f"{each.kind}: {each.fate}"
        + ("" if each.standing == "clean" else f" {each.standing}")
        for each in found
    }


def test_a_machine_that_did_nothing_gets_all_that_is_new(plan: Callable[..., list[Decision]]) -> None:
    assert told(plan()) == {
        "package web": "only master: take",
        "package ssl": "only master: take",
        "package git": "only master: take",
        "package redis": "only master: take",
        "user sshd": "moved: renumber",
        "user redis": "new: take",
        "group sshd": "moved: renumber",
        "group redis": "new: take",
        "service redis.service": "starts: start",
    }


def test_a_year_of_life(plan: Callable[..., list[Decision]], machine: Machine) -> None:
    live(machine, YEAR)
    found = plan()
    said = told(found)
    assert [each for each in found if each.standing != "clean"] == []
    packages = {
        name.removeprefix("package "): what for name, what in said.items() if name.startswith("package")
    }
    assert packages == {
        "git": "removed: hide",
        "own": "only machine: keep",
        "redis": "only master: take",
        "ssl": "both changed: take",
        "web": "only master: take",
    }
    assert said["service redis.service"] == "starts: start" and "service own.service" not in said  # T5
    files = {name.removeprefix("file "): what for name, what in said.items() if name.startswith("file")}
    wanted = {
        # T2, T8: files go with their packages, through /lib, and what grew is hidden.
        "usr/lib/libssl.so.3": "of package: take",
        "usr/share/ssl/gone": "of package: take",
        "usr/bin/git": "of package: keep",
        "usr/lib/git-core/two": "grown: hide",
        "usr/bin/own": "of package: keep",
        "var/lib/dpkg/info/ssl.list": "of package: take",
        "var/lib/dpkg/info/own.list": "of package: keep",
        "var/lib/dpkg/status": "by record: merge",
        "etc/passwd": "by record: merge",
        # T6: made by a rename, and no decision of anybody's.
        "usr/share/redis": "opaque: clear",
        "usr/share/own": "opaque: clear",
        "usr/share/redis/mine": "own: keep",
        # T9, T10, T11
        CA: "generated: regenerate",
        ARCHIVE: "generated: regenerate",
        "etc/resolv.conf": "identity: keep",
        "boot/vmlinuz-own": "ineffective: report",
        "etc/web.conf": "merged: merge",
        "etc/hostname": "identity: keep",
        "var/secret": "own: keep",
    }
    assert {path: files.get(path) for path in wanted} == wanted
    assert not any(path.startswith("lib/") for path in files)
    (secret,) = [each for each in found if each.name == "var/secret"]
    assert secret.owner == "101:101 -> 102:102"  # T1
    assert said["bound python3.11"] == "bound: report"  # T12


def test_what_a_kept_or_held_package_needs(plan: Callable[..., list[Decision]], machine: Machine) -> None:
    live(machine, 'debian.install(root, "ssl", "9", {"/usr/lib/libssl.so.3": "9"}); debian.hold(root, "web")')
    said = told(plan())
    assert (
        said["package ssl"] == "both changed: keep" and said["file usr/lib/libssl.so.3"] == "of package: keep"
    )
    assert said["package web"] == "held: ask conflict" and "file usr/bin/web" not in said
    ours = told(plan(Policy(on_conflict=Choice.OURS)))
    assert ours["package web"] == "held: keep"
    assert ours["file usr/bin/web"] == ours["file usr/lib/web/old.so"] == "needed: bring"


def test_what_is_in_dispute(plan: Callable[..., list[Decision]], machine: Machine) -> None:
    live(
        machine,
        """
write("etc/web.conf", read("etc/web.conf").replace("PrintMotd no", "PrintMotd maybe"))
write("usr/bin/web", "hacked")
import shutil
shutil.rmtree("usr/share/app"); os.mkdir("usr/share/app"); write("usr/share/app/a", "2")
""",
    )
    said = told(plan())
    assert said["file etc/web.conf"] == said["file usr/bin/web"] == "modify/modify: ask conflict"
    assert said["file usr/share/app"] == "opaque: ask conflict"
    assert said["file usr/share/app/a"] == "below opaque: keep"  # T16: it is as the new master's
    taken = told(plan(Policy(take=("/usr/share/app",), on_conflict=Choice.THEIRS)))
    assert taken["file usr/share/app"] == "opaque: clear" and taken["file usr/share/app/a"] == "changed: take"
    assert taken["file etc/web.conf"] == "modify/modify: take"


def test_a_database_that_was_damaged_blocks(plan: Callable[..., list[Decision]], machine: Machine) -> None:
    """Not understood, cut off, gone: nobody may take that for packages that were removed."""
    live(machine, 'write(debian.STATUS, read(debian.STATUS).replace("Version: 1", "Version: (1)", 1))')
    assert {each.standing for each in plan() if "not understood" in each.detail} == {"blocked"}
    live(machine, "write(debian.STATUS, '')")
    blocked = {each.name for each in plan() if each.standing == "blocked" and each.kind == "not removed"}
    assert blocked == {"web", "ssl", "git", "held"}
    live(machine, "os.unlink(debian.STATUS)")
    assert any(each.standing == "blocked" and each.subject == "package" for each in plan())


def test_two_owners_of_one_path(state: Path, tmp_path: Path, cache: Path) -> None:
    """T7."""

    def renamed(root: Path) -> None:
        debian.install(root, "sslt64", "3", {"/usr/lib/libssl.so.3": "3"})

    pair = _sealed(state, tmp_path, first, renamed)
    machine = _machine(tmp_path, cache)
    live(machine, 'debian.install(root, "ssl", "2", {"/usr/lib/libssl.so.3": "2"})')
    with (
        masters.opened(state / "masters", pair[0], state) as old,
        masters.opened(state / "masters", pair[1], state) as new,
        planning.planned(machine.image, old, new, Policy(), IMAGES) as found,
    ):
        blocked = [each for each in found if each.standing == "blocked"]
    assert [(each.kind, each.name) for each in blocked] == [("two owners", "ssl")]
    assert "sslt64's" in blocked[0].detail and "--replay" in blocked[0].detail


def test_another_release_is_no_merge(state: Path, tmp_path: Path, cache: Path) -> None:
    pair = _sealed(state, tmp_path, first, second, release="13")
    machine = _machine(tmp_path, cache)
    with (
        masters.opened(state / "masters", pair[0], state) as old,
        masters.opened(state / "masters", pair[1], state) as new,
        planning.planned(machine.image, old, new, Policy(), IMAGES) as found,
    ):
        (said,) = found
    assert (said.subject, said.name, said.standing) == ("release", "debian 13", "blocked")
    assert "--replay" in said.detail


def test_a_machine_that_was_upgraded_by_hand_is_of_another_release(
    plan: Callable[..., list[Decision]], machine: Machine
) -> None:
    release = 'read("etc/os-release").replace("12", "13")'
    live(machine, f"write('etc/os-release', {release})")
    (said,) = plan()
    assert (said.subject, said.standing) == ("release", "blocked")
    assert said.detail.startswith("the machine was upgraded by hand, and is debian 13")


def test_a_disk_of_another_master_is_refused(
    two: tuple[Master, Master], state: Path, machine: Machine
) -> None:
    """Each of its files would be told as the machine's own."""
    with ExitStack() as held:
        old, new = (held.enter_context(masters.opened(state / "masters", master, state)) for master in two)
        with pytest.raises(Blocked, match="belongs to other images"):
            held.enter_context(planning.planned(machine.image, old, new, Policy(), ["sha256:5"]))


def test_a_disk_that_was_not_shut_down_is_unsettled(
    plan: Callable[..., list[Decision]], machine: Machine
) -> None:
    with machine.image.open("r+b") as disk:
        disk.seek(1024 + 0x60)
        found = int.from_bytes(disk.read(4), "little")
        disk.seek(1024 + 0x60)
        disk.write((found | 4).to_bytes(4, "little"))
    with pytest.raises((Unsettled, Corrupt)):
        plan()


def test_nothing_is_written(plan: Callable[..., list[Decision]], machine: Machine, state: Path) -> None:
    live(machine, YEAR)
    before = {path: path.read_bytes() for path in [machine.image, *state.rglob("*")] if path.is_file()}
    plan()
    assert {
        path: path.read_bytes() for path in [machine.image, *state.rglob("*")] if path.is_file()
    } == before
