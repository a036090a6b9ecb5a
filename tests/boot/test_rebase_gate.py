"""The gate of a rebase, in the appliance, on a real Debian: what is whole passes, and each fault is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase.findings import FindingKind
from skinnybox.errors import Blocked
from skinnybox.fleet import rebase_gate
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.masters.system import image
from skinnybox.model import Master
from skinnybox.operation import Operation, Step
from tests.boot.conftest import Create

pytestmark = [pytest.mark.full, pytest.mark.timeout(2400)]

STATUS, INFO = "var/lib/dpkg/status", "var/lib/dpkg/info"
FAILING = "#!/bin/sh\necho no luck >&2\nexit 1\n"


@dataclass(frozen=True)
class Case:
    """A machine on its own master, and on the same one again."""

    machine: MachineView
    master: Master
    folder: Path
    status: str
    scratch: Path

    @property
    def folders(self) -> tuple[Path, Path]:
        return self.folder, self.folder

    def overlay(self, fleet: Fleet, name: str, files: Mapping[str, str | None]) -> Path:
        """As it would be with these files of its own; None is a deletion."""
        made = self.scratch / name
        with fleet._host.open_overlay(self.machine.instance, Operation()) as own:
            made.write_bytes(own.read_bytes())
        lines, folders = list[str](), set[str]()
        for number, (path, text) in enumerate(files.items()):
            for folder in sorted(map(str, Path("upper", path).parents), key=len):
                if folder not in (".", "upper") and folder not in folders:
                    lines.append(f"mkdir /{folder}")
                    folders.add(folder)
            if text is None:
                lines += [f"cd /{Path('upper', path).parent}", f"mknod {Path(path).name} c 0 0"]
                lines.append(f"sif /upper/{path} mode 020000")
                continue
            content = self.scratch / f"{name}.{number}"
            content.write_text(text)
            mode = "0100755" if text.startswith("#!") else "0100644"
            lines += [f"write {content} /upper/{path}", f"sif /upper/{path} mode {mode}"]
            lines += [f"sif /upper/{path} {what} 0" for what in ("uid", "gid")]
        (self.scratch / "orders").write_text("\n".join(lines) + "\n")
        run.run(["debugfs", "-w", "-f", self.scratch / "orders", made])
        run.run(["e2fsck", "-fy", made], ok=(0, 1))
        return made


@pytest.fixture
def case(fleet: Fleet, master: str, create: Create, tmp_path: Path) -> Case:
    machine = create("gate")
    sealed = fleet.masters.find(master)
    folder = fleet.masters.folder(sealed)
    with (folder / sealed.images[0].file).open("rb") as opened:
        status = image.opened(opened.fileno()).read(STATUS, 1 << 24)
    assert status is not None
    return Case(machine, sealed, folder, status.decode(), tmp_path)


def _edited(status: str, name: str, edit: Callable[[str], str]) -> str:
    head = f"Package: {name}\n"
    return "\n\n".join(edit(part) if part.startswith(head) else part for part in status.split("\n\n"))


def _unpacked(stanza: str) -> str:
    told = stanza.replace("Status: install ok installed", "Status: install ok unpacked")
    return told.replace("\nVersion: ", "\nConfig-Version: 1\nVersion: ")


def _without(stanza: str) -> str:
    return ""


def test_what_is_whole_passes_and_what_is_to_be_configured_is_rehearsed(fleet: Fleet, case: Case) -> None:
    steps: list[Step] = []
    old = case.overlay(fleet, "old", {"etc/issue": "mine\n"})
    new = case.overlay(fleet, "new", {"etc/issue": "mine\n", STATUS: _edited(case.status, "attr", _unpacked)})
    before = old.read_bytes(), new.read_bytes()
    masters = (case.master, case.master)
    operation = Operation(steps.append)
    rebase_gate.check(old, new, case.machine, masters, case.folders, case.scratch, operation)
    assert {"libraries and owners", "dpkg --audit", "apt-get check"} <= {step.detail for step in steps}
    assert (old.read_bytes(), new.read_bytes()) == before


def test_each_fault_of_packages_is_told(fleet: Fleet, case: Case) -> None:
    """A script that fails, what is left half-way, a dependency, files that are not the package's."""
    old = case.overlay(fleet, "old", {"etc/issue": "mine\n"})
    status = _edited(_edited(case.status, "busybox", _unpacked), "libattr1", _without)
    files = {"etc/issue": "mine\n", STATUS: status, f"{INFO}/busybox.postinst": FAILING, "usr/bin/attr": None}
    new = case.overlay(fleet, "new", {**files, "usr/share/doc/busybox/copyright": "x"})
    asking = rebase_gate.Asking(
        machine=case.machine, masters=(case.master,) * 2, folders=case.folders, scratch=case.scratch
    )
    told: dict[FindingKind, str] = {}
    for each in asking.findings(old, new, Operation()):
        told[each.kind] = told.get(each.kind, "") + each.text + "\n"
    assert "package busybox" in told[FindingKind.CONFIGURE]
    assert "no luck" in told[FindingKind.CONFIGURE]
    assert "busybox " in told[FindingKind.AUDIT]
    assert "libattr1" in told[FindingKind.CHECK]
    assert "missing     /usr/bin/attr" in told[FindingKind.VERIFY]
    assert "/etc/issue" not in told[FindingKind.VERIFY]  # it was so before


def test_a_library_that_is_gone_is_told_without_a_boot(fleet: Fleet, case: Case) -> None:
    old = case.overlay(fleet, "old", {})
    new = case.overlay(fleet, "new", {"usr/lib/x86_64-linux-gnu/libacl.so.1": None})
    steps: list[Step] = []
    with pytest.raises(Blocked, match=r"libacl.so.1 is missing: /usr/bin/") as caught:
        rebase_gate.check(
            old, new, case.machine, (case.master,) * 2, case.folders, case.scratch, Operation(steps.append)
        )
    assert "--replay" in (caught.value.hint or "")
    assert [step.detail for step in steps] == ["libraries and owners"]
