"""Grouped changes of a tree on which Debian's own programs did what an administrator does."""

import os
import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.cli.changes_grouped import gathered, lines
from skinnybox.delta.listing import Sealed, looked
from skinnybox.masters.index import scan, write_index
from skinnybox.operation import Operation
from tests.image.debs import deb
from tests.image.overlaid import Machine

pytestmark = [
    pytest.mark.image,
    pytest.mark.full,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("dpkg-deb") is None, reason="needs root and dpkg"),
]
SERVICE = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
DPKG = "dpkg --root=. --force-script-chrootless --force-not-root --log=/dev/null"
EDITED = ("etc/motd", "etc/issue", "etc/up0.conf", "etc/new00.conf")


def _deb(folder: Path, name: str, version: str) -> Path:
    files = {f"usr/bin/{name}": f"{name} {version}", f"usr/share/{name}/page": "page" * 99,
             f"etc/{name}.conf": f"{name} = {version}\n"}  # fmt: skip
    return deb(folder, name, version, files, conffiles=(f"etc/{name}.conf",))


def _master(machine: Machine, debs: Path) -> None:
    for name in ("etc/systemd/system", "usr/lib/systemd/system", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (machine.lower / name).mkdir(parents=True)
    (machine.lower / "var/lib/dpkg/status").touch()
    for unit in ("a", "b", "c"):
        (machine.lower / f"usr/lib/systemd/system/{unit}.service").write_text(SERVICE)
    for name in ("motd", "issue"):
        (machine.lower / "etc" / name).write_text("as it was\n")
    (machine.lower / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    old = [
        _deb(debs, name, "1.0") for name in (*(f"up{n}" for n in range(3)), *(f"old{n}" for n in range(5)))
    ]
    run.run(["sh", "-euc", f'cd "$0"; {DPKG} -i "$@"', machine.lower, *old])


def test_what_dpkg_and_the_administrator_did_is_said_exactly(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine, debs = Machine(tmp_path, tmp_path_factory.mktemp("cache")), tmp_path / "debs"
    _master(machine, debs)
    came = [_deb(debs, f"new{n:02}", "2") for n in range(30)] + [
        _deb(debs, f"up{n}", "1.1") for n in range(3)
    ]
    edits = "; ".join(f"echo edited >{path}" for path in EDITED)
    wants = "etc/systemd/system/multi-user.target.wants"
    machine.sh(
        f"{DPKG} -i {' '.join(map(str, came))}; {DPKG} -P old0 old1 old2 old3 old4; {edits}; "
        f"mkdir -p {wants}; "
        f"for unit in a b; do ln -s /usr/lib/systemd/system/$unit.service {wants}/$unit.service; done"
    )
    write_index(scan(machine.lower, Operation()), tmp_path / "index.jsonl.gz")
    image = tmp_path / "root.erofs"
    run.run(["mkfs.erofs", image, machine.lower])
    with looked(
        machine.image, Sealed(index=tmp_path / "index.jsonl.gz", image=image), include_same=True
    ) as look:
        told = list(lines(gathered(look, whole=False)))
    new = [f"new{number:02}" for number in range(30)]
    assert told[0].startswith("packages (")
    assert told[1:] == [
        f"  30 installed  {', '.join(new[:12])},",
        f"                {', '.join(new[12:24])},",
        f"                {', '.join(new[24:])}",
        "  5 removed  old0 1.0, old1 1.0, old2 1.0, old3 1.0, old4 1.0",
        "  upgraded  up0 1.0 -> 1.1",
        "  upgraded  up1 1.0 -> 1.1",
        "  upgraded  up2 1.0 -> 1.1",
        "",
        "configuration",
        "  modified  7  /etc/issue",
        "  modified  7  /etc/motd",
        "  added     7  /etc/new00.conf  not as its package has it, of new00",
        "  modified  7  /etc/up0.conf    not as its package has it, of up0",
        "",
        "services (3 paths of these, 66)",
        "  enabled  a.service (multi-user.target)",
        "  enabled  b.service (multi-user.target)",
    ]
