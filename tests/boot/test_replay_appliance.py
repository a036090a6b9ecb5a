"""Packages are installed again in the appliance, by the package manager of a real Debian; and what goes wrong
there is told."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase.replay import Otherwise, Replay
from skinnybox.errors import Blocked
from skinnybox.fleet.rebase_replay import Replaying, reinstalled
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Master, Overlay
from skinnybox.operation import Operation
from skinnybox.package_cache.archive import Archive, opened
from skinnybox.sizes import MIB
from tests.boot.conftest import Create
from tests.layered import planted

pytestmark = pytest.mark.timeout(1800)
TASKS = "var/lib/skinnybox/rebase"
UNITS = "skinnybox-rebase 1\nid 1\nunit {}\nend\n"


@dataclass(frozen=True)
class Case:
    """A machine whose new overlay is to be filled; its new master is its own."""

    machine: MachineView
    master: Master
    folder: Path
    overlay: Path
    archive: Callable[[], AbstractContextManager[Archive]]
    scratch: Path

    def again(self, replay: Replay, *after: str, without: str = "") -> list[str]:
        notes: list[str] = []
        otherwise = Otherwise(without=frozenset(filter(None, [without])))
        how = Replaying(archive=self.archive, otherwise=otherwise, after=after)
        operation = Operation(log=notes.append)
        reinstalled(
            self.overlay, self.machine, self.master, self.folder, replay, how, self.scratch, operation
        )
        return notes

    def said(self, words: str) -> str:
        return run.run(["debugfs", "-R", words, self.overlay]).stdout.decode()

    def write(self, path: str, text: str) -> None:
        content = self.scratch / "content"
        content.write_text(text)
        parents = list(reversed(Path("/upper", path).parents))[2:]
        lines = [*(f"mkdir {each}" for each in parents), f"write {content} /upper/{path}"]
        (self.scratch / "orders").write_text("\n".join(lines) + "\n")
        run.run(["debugfs", "-w", "-f", self.scratch / "orders", self.overlay])


@pytest.fixture
def case(fleet: Fleet, master: str, create: Create, tmp_path: Path) -> Case:
    machine = create("replay", overlay=Overlay(size=256 * MIB, allocation=Allocation.SPARSE))
    sealed = fleet.masters.find(master)
    folder = fleet.masters.folder(sealed)
    archive = partial(opened, folder / sealed.images[0].file, tmp_path)
    overlay = tmp_path / "new.img"
    with fleet._host.open_overlay(machine.instance, Operation()) as own:
        overlay.write_bytes(own.read_bytes())
    return Case(machine, sealed, folder, overlay, archive, tmp_path)


def test_what_a_machine_had_is_installed_removed_held_and_linked_again(case: Case) -> None:
    replay = Replay(
        install=("tree",), automatic=("bc", "gpm", "libgpm2"), purge=("attr",), hold=("tree",),
        links=(("etc/own", "../usr/bin/tree"), ("etc/gone", "/usr/bin/nothing")),
        off=("etc/mtab",),
    )  # fmt: skip
    case.write(TASKS, UNITS.format("other1.service"))
    notes = case.again(replay, "tree --version >/root/after", without="other1.service")
    assert "tree v2" in case.said("cat /upper/root/after")
    status = case.said("cat /upper/var/lib/dpkg/status")
    assert "Package: tree\nStatus: hold ok installed\n" in status
    assert "Package: attr\n" not in status and "Package: bc\n" not in status  # nothing recommends that
    assert '"../usr/bin/tree"' in case.said("stat /upper/etc/own")
    assert not case.said("stat /upper/etc/gone")
    assert "Type: character" in case.said("stat /upper/etc/mtab")
    assert not case.said("stat /upper/usr/sbin/policy-rc.d")
    assert [note for note in notes if "other1.service ran, and does not come again" in note]
    assert "unit" not in case.said(f"cat /upper/{TASKS}")


def test_what_ran_and_does_not_come_again_is_refused(case: Case) -> None:
    case.write(TASKS, UNITS.format("other1.service"))
    with pytest.raises(Blocked, match=r"services that ran would not come again: other1.service") as caught:
        case.again(Replay(install=("tree",)))
    assert "--without" in (caught.value.hint or "")


def test_what_a_command_says_is_told(case: Case) -> None:
    with pytest.raises(Blocked, match=r"no luck") as caught:
        case.again(Replay(), "echo no luck >&2; exit 3")
    assert "machine's view" in (caught.value.hint or "")


@pytest.mark.full
def test_what_a_machine_has_of_its_own_is_not_in_the_way(case: Case) -> None:
    """Settings of apt that name a release which is not in there; what a script leaves running, or mounted."""
    case.write("etc/apt/apt.conf.d/99own", 'APT::Default-Release "elsewhere";\n')
    case.again(
        Replay(install=("tree",)),
        "cd /var/tmp; (exec sleep 1000 >/var/tmp/open) & sleep 1",
        "mkdir /run/more && mount -t tmpfs more /run/more && touch /run/more/a",
        "mount -t tmpfs more /var/tmp",
    )
    assert "Package: tree\nStatus: install ok installed\n" in case.said("cat /upper/var/lib/dpkg/status")
    assert not case.said("stat /upper/usr/sbin/policy-rc.d")


def test_a_command_that_fails_without_a_word_is_told(case: Case) -> None:
    with pytest.raises(Blocked, match=r"it ended with 1"):
        case.again(Replay(), "false")


def test_what_its_layers_have_is_there_meanwhile_and_stays_theirs(case: Case, fleet: Fleet) -> None:
    """As the machine sees itself: scripts find the layers' files, and only what they alter is its own."""
    tree = planted(case.scratch / "site", {"srv/site/below": "of a layer\n", "srv/site/same": "same\n"})
    site = fleet.layers.import_tree(tree, "site:1", above=case.master.reference)
    stack = replace(case.machine.instance.stack, layers=(site.reference,), layer_ids=(site.id,))
    images = (*stack.images, site.images[0].digest)
    instance = replace(case.machine.instance, stack=replace(stack, images=images))
    case = replace(case, machine=replace(case.machine, instance=instance))
    case.again(Replay(install=("tree",)), "cat /srv/site/below >/root/found; echo more >>/srv/site/below")
    assert case.said("cat /upper/root/found") == "of a layer\n"
    assert case.said("cat /upper/srv/site/below") == "of a layer\nmore\n"
    assert not case.said("stat /upper/srv/site/same")
    assert "Package: tree\nStatus: install ok installed\n" in case.said("cat /upper/var/lib/dpkg/status")
    fleet.layers.remove("site:1")
