"""The half of the gate that is read: disks below a real overlayfs mount, and two real masters."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase import masters
from skinnybox.delta.rebase.examining import Examined, examined
from skinnybox.delta.settled import Unsettled
from skinnybox.errors import Blocked, Corrupt
from skinnybox.fleet import rebase_gate
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.view import MachineView
from skinnybox.masters import catalogue
from skinnybox.model import Master
from skinnybox.operation import Operation, Step
from tests.image import debianlike as debian
from tests.image.overlaid import Machine
from tests.samples import an_instance, seal
from tests.unit.elves import an_elf

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root")
pytestmark = [pytest.mark.image, needs_root]

ELVES = {
    "ssl-old": an_elf(soname="libssl.so.3", defined=["SSL_3"]),
    "ssl-new": an_elf(soname="libssl.so.3", defined=["SSL_3", "SSL_4"]),
    "web-old": an_elf(["libssl.so.3"], wanted={"libssl.so.3": ["SSL_3"]}),
    "web-new": an_elf(["libssl.so.3"], wanted={"libssl.so.3": ["SSL_4"]}),
    "own": an_elf(["libown.so"]),
    "broken": an_elf(["nowhere.so"]),
    "libown": an_elf(),
}


def _put(root: Path, path: str, elf: str, mode: int = 0o755) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(ELVES[elf])
    place.chmod(mode)


def _fill(root: Path, version: str, sshd: int) -> None:
    debian.tree(root)
    debian.account(root, "sshd", sshd)
    for path, elf in (("bin/web", f"web-{version}"), ("lib/libssl.so.3.0", f"ssl-{version}")):
        _put(root, f"usr/{path}", elf)
    (root / "usr/lib/libssl.so.3").symlink_to("libssl.so.3.0")
    _put(root, "usr/lib/broken", "broken")
    _put(root, "usr/bin/agent", "web-old")
    os.chown(root / "usr/bin/agent", 0, sshd)
    (root / "usr/bin/agent").chmod(0o2755)
    if version == "old":
        _put(root, "usr/lib/libown.so", "libown")


Examine = Callable[[], Examined]


@pytest.fixture
def two(tmp_path: Path, cache: Path) -> Iterator[tuple[Machine, Machine, Examine]]:
    """The machine as it was, as it would be, and what the gate reads."""
    state, sealed, machines = tmp_path / "state", list[Master](), list[Machine]()
    for number, version, sshd in ((1, "old", 101), (2, "new", 102)):
        tree = tmp_path / f"tree-web-{number}"
        _fill(tree, version, sshd)
        sealed.append(seal(state, tmp_path, "web", str(number), unrelated=True))
        (tmp_path / version).mkdir()
        machine = Machine(tmp_path / version, cache)
        machine.lower.rmdir()
        machine.lower = tree
        machines.append(machine)
    for name, content in ELVES.items():
        (tmp_path / name).write_bytes(content)
    with ExitStack() as held:
        old, new = (held.enter_context(masters.opened(state / "masters", each, state)) for each in sealed)
        images = machines[0].image, machines[1].image
        yield machines[0], machines[1], lambda: examined(*images, (old, new))


def _told(found: Examined) -> list[str]:
    return [f"{each.kind}: {each.text}" for each in found.findings]


Two = tuple[Machine, Machine, Examine]


def test_a_machine_that_did_nothing_is_whole_and_nobody_has_to_be_asked(two: Two) -> None:
    found = two[2]()
    assert (found.findings, found.more, found.programs, found.packages) == ((), 0, 0, False)
    assert found.dpkg


def test_what_the_machine_hides_from_the_new_masters_programs(two: Two, tmp_path: Path) -> None:
    two[1].sh(f"cat {tmp_path}/ssl-old >usr/lib/libssl.so.3.0")
    found = two[2]()
    assert _told(found) == ["library: SSL_4 in libssl.so.3 is missing: /usr/bin/web needs it"]
    assert found.programs == 3  # with the library itself, and agent, which needs no more than it has


@pytest.mark.parametrize(
    "how",
    [
        "rm usr/lib/libssl.so.3.0",
        "rm usr/lib/libssl.so.3",
        "rm usr/lib/libssl.so.3; echo >usr/lib/libssl.so.3",
    ],
)
def test_a_library_that_is_gone_is_told_once_for_all_who_need_it(two: Two, how: str) -> None:
    two[1].sh(how)
    assert _told(two[2]()) == ["library: libssl.so.3 is missing: /usr/bin/agent and 1 more need it"]


def test_what_the_machines_own_program_finds_no_more(two: Two, tmp_path: Path) -> None:
    for machine in two[:2]:
        machine.sh(f"mkdir -p opt; cp {tmp_path}/own {tmp_path}/broken opt")
    assert _told(two[2]()) == ["library: libown.so is missing: /opt/own needs it"]
    two[1].sh(f"mkdir -p usr/local/lib; cp {tmp_path}/libown usr/local/lib/libown.so")
    assert _told(two[2]()) == []


def test_an_emptied_folder_hides_what_was_in_it(two: Two) -> None:
    two[1].sh("rm -r usr/lib; mkdir usr/lib; mkdir -p usr/lib/x")
    assert "library: libssl.so.3 is missing: /usr/bin/agent and 1 more need it" in _told(two[2]())


def test_configured_folders_are_the_machines(two: Two, tmp_path: Path) -> None:
    """A library of the same name that comes first, and one that does not."""
    two[1].sh(f"mkdir -p opt/l etc; cp {tmp_path}/ssl-old opt/l/libssl.so.3; echo /opt/l >etc/ld.so.conf")
    assert _told(two[2]()) == ["library: SSL_4 in libssl.so.3 is missing: /usr/bin/web needs it"]
    two[1].sh("echo /opt/m >etc/ld.so.conf")
    assert _told(two[2]()) == []


def test_owners_are_compared_by_name(two: Two) -> None:
    old, new, examine = two
    old.sh("echo secret >srv; chown 101:101 srv; echo x >bin2; chown 0:101 bin2; chmod 2755 bin2")
    new.sh("echo secret >srv; chown 102:102 srv; echo x >bin2; chown 0:102 bin2; chmod 2755 bin2")
    assert _told(examine()) == []
    new.sh("chown 101 srv; chown 0:101 bin2; chmod 2755 bin2")
    assert _told(examine()) == [
        "privilege: /bin2 (mode 2755): group sshd -> nobody", "owner: /srv: user sshd -> nobody",
    ]  # fmt: skip


def test_accounts_that_stayed_give_the_masters_files_to_others(two: Two) -> None:
    """T1: /etc/group kept as it was, and what is setgid is somebody's."""
    two[1].sh("sed -i 's/^sshd.*/sshd:x:101:\\nmysql:x:102:/' etc/group")
    assert _told(two[2]()) == ["privilege: /usr/bin/agent (mode 2755): group sshd -> mysql"]


def test_access_lists_are_compared_too(two: Two) -> None:
    old, new, examine = two
    old.sh("echo x >f; setfacl -m u:101:rw f")
    new.sh("echo x >f; setfacl -m u:102:rw f")
    assert _told(examine()) == []
    new.sh("setfacl -b f; setfacl -m u:101:rw f")
    assert _told(examine()) == ["owner: /f: user sshd -> nobody"]


def test_whose_database_differs_is_to_be_asked(two: Two) -> None:
    two[1].sh("echo >>var/lib/dpkg/status")
    assert two[2]().packages


def test_a_disk_that_is_not_clean_or_is_none_is_refused(two: Two) -> None:
    with two[1].image.open("r+b") as disk:
        disk.seek(1024 + 0x60)
        found = int.from_bytes(disk.read(4), "little")
        disk.seek(1024 + 0x60)
        disk.write((found | 4).to_bytes(4, "little"))
    with pytest.raises((Unsettled, Corrupt)):
        two[2]()
    two[1].image.write_bytes(two[0].image.read_bytes())
    orders = two[1].folder / "orders"
    orders.write_text("ln upper elsewhere\nunlink upper\nsymlink upper elsewhere\n")
    run.run(["debugfs", "-w", "-f", orders, two[1].image])
    with pytest.raises(Corrupt, match="no upper directory"):
        two[2]()
    two[1].image.write_bytes(bytes(1 << 20))
    with pytest.raises(Corrupt):
        two[2]()


def test_owners_by_the_hundred_leave_libraries_their_room(two: Two, tmp_path: Path) -> None:
    """After packages were installed again owners are what scripts made of them, and are not asked for: they
    would have hidden what is missing."""
    many = "mkdir -p srv; for n in $(seq 150); do echo x >srv/$n; chown 0:{} srv/$n; chmod 2755 srv/$n; done"
    two[0].sh(many.format("101"))
    two[1].sh(f"{many.format('0')}; rm usr/lib/libssl.so.3")
    store = tmp_path / "state/masters"
    sealed = sorted(catalogue.masters(store), key=lambda master: master.version)
    around = (sealed[0], sealed[1]), (catalogue.folder(store, sealed[0]), catalogue.folder(store, sealed[1]))
    machine = MachineView(instance=an_instance("web-01"), phase=Phase.DEFINED)
    images = (two[0].image, two[1].image)
    with pytest.raises(Blocked, match=r"privilege: /srv/"):
        rebase_gate.check_owners(*images, machine, *around, tmp_path)
    with pytest.raises(Blocked, match=r"libssl.so.3 is missing") as caught:
        rebase_gate.check(*images, machine, *around, tmp_path, Operation(), reinstalled=True)
    assert "privilege" not in caught.value.message


def test_a_delta_of_files_alone_passes_the_whole_gate_without_a_boot(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no QEMU anywhere."""
    monkeypatch.setenv("PATH", "/nowhere")
    store, steps = tmp_path / "state/masters", list[Step]()
    sealed = sorted(catalogue.masters(store), key=lambda master: master.version)
    masters = (sealed[0], sealed[1])
    folders = (catalogue.folder(store, masters[0]), catalogue.folder(store, masters[1]))
    machine = MachineView(instance=an_instance("web-01"), phase=Phase.DEFINED)
    images = (two[0].image, two[1].image)
    operation = Operation(steps.append)
    rebase_gate.check(*images, machine, masters, folders, tmp_path, operation)
    assert [step.detail for step in steps] == [
        "libraries and owners", "no package differs, and no program could be hurt",
    ]  # fmt: skip
    monkeypatch.undo()
    two[1].sh("rm usr/lib/libssl.so.3")
    with pytest.raises(Blocked, match=r"libssl.so.3 is missing: /usr/bin/agent and 1 more need it"):
        rebase_gate.check(*images, machine, masters, folders, tmp_path, operation)
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
