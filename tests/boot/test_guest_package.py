"""An ordinary Debian with the guest part's package: it boots with it, after it was removed and after it was
purged, and it becomes a master whose machine gets ready.

Its kernel and initramfs are those that lie in its /boot, as its own packages made them; QEMU loads them.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.emulation.accelerator import choose
from skinnybox.emulation.board import board
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.masters import sources
from skinnybox.model import Acceleration, Allocation, Overlay
from skinnybox.sizes import MIB
from tests.pace import within
from tests.pages import ROOT

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="making a Debian needs root"),
]

NAME = "skinnybox-guest"
SECONDS = 900.0
PACKAGES = (
    "apt", "systemd-sysv", "udev", "dbus", "openssh-server", "iproute2", "kmod", "initramfs-tools",
    "linux-image-cloud-amd64",
)  # fmt: skip
# Once it is up, the system says what it is, does with the package what the kernel's command line tells it to,
# and powers off as any system does.
TRIAL = f"""#!/bin/sh
exec >/dev/ttyS0 2>&1
say() {{ echo "trial: $*"; }}
systemctl is-system-running --wait | sed 's/^/trial: system /'
systemctl list-units --failed --no-legend | sed 's/^/trial: failed /'
say root "$(findmnt -n -o FSTYPE,OPTIONS /)"
say left "$(find / -xdev -name '*skinnybox*' ! -path '/var/lib/dpkg/*' | wc -l)"
say active "$(systemctl is-active skinnybox-report.service)"
say sums "$(cat /boot/* /etc/fstab | sha256sum)"
for word in $(cat /proc/cmdline); do
    case $word in
    trial=none) ;;
    trial=*) dpkg "--${{word#trial=}}" {NAME} </dev/null && say done "${{word#trial=}}" ;;
    esac
done
say end
systemctl poweroff
"""
UNIT = """[Unit]
After=multi-user.target ssh.service
ConditionKernelCommandLine=trial
[Service]
Type=idle
ExecStart=/usr/local/sbin/trial
[Install]
WantedBy=multi-user.target
"""
CUSTOMIZE = """#!/bin/sh
set -eu
cp "{folder}/trial" "$1/usr/local/sbin/trial"
chmod 755 "$1/usr/local/sbin/trial"
cp "{folder}/trial.service" "$1/etc/systemd/system/trial.service"
chroot "$1" systemctl enable trial.service
chroot "$1" systemctl mask serial-getty@ttyS0.service # its prompt ends no line
printf '/dev/vda / ext4 errors=remount-ro 0 1\\n' >"$1/etc/fstab"
echo ordinary >"$1/etc/hostname"
"""


@dataclass(frozen=True, slots=True)
class Debian:
    """An ordinary system: the folder with its `tree`, and the raw `disk` that is made of it."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.raw"

    def booted(self, trial: str) -> str:
        """Started from its disk, up, and off again; what its trial said on the console."""
        console = self.folder / f"{trial}.console"
        kernel, initrd = (next(self.tree.glob(f"boot/{name}-*")) for name in ("vmlinuz", "initrd.img"))
        # fmt: off
        words: list[str | Path] = [
            "qemu-system-x86_64", *board(choose(Acceleration.AUTO, kernel, 1), cpus=1, memory=768 * MIB),
            "-kernel", kernel, "-initrd", initrd,
            "-append", f"root=/dev/vda ro console=ttyS0 trial={trial}",
            "-drive", f"file={self.disk},format=raw,if=virtio",
            "-serial", f"file:{console}",
        ]
        # fmt: on
        with subprocess.Popen(words) as child:
            try:
                child.wait(within(SECONDS))
            except subprocess.TimeoutExpired:
                text = console.read_bytes()[-4000:].decode("utf-8", "replace")
                pytest.fail(f"it was not up and off in time\n{text}")
            finally:
                child.kill()
        return console.read_bytes().decode("utf-8", "replace").replace("\r", "")


@pytest.fixture(scope="module")
def debian() -> Iterator[Debian]:
    """With the package installed by apt's own dpkg, and its initramfs made by its own initramfs-tools."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        made = Debian(Path(folder))
        package = run.run([ROOT / "script/guest-package", folder]).stdout.decode().strip()
        (made.folder / "trial").write_text(TRIAL)
        (made.folder / "trial.service").write_text(UNIT)
        hook = made.folder / "customize"
        hook.write_text(CUSTOMIZE.format(folder=folder))
        hook.chmod(0o755)
        own = sources.release().codename
        argv = [
            "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            f"--customize-hook={hook}", "--dpkgopt=force-unsafe-io", own, str(made.tree), "-",
        ]  # fmt: skip
        stanzas = "\n".join(source.stanza() for source in sources.own_sources(own))
        run.run(argv, stdin=stanzas.encode(), keep=run.FETCHING, timeout=1800)
        before = boot_files(made.tree)
        run.run(["dpkg", f"--root={made.tree}", "--install", package])
        assert boot_files(made.tree) == before
        run.run(["mke2fs", "-q", "-t", "ext4", "-d", made.tree, made.disk, "2G"])
        yield made


def boot_files(tree: Path) -> dict[str, bytes]:
    files = [*(tree / "boot").iterdir(), tree / "etc/fstab"]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


def trial(console: str, word: str) -> list[str]:
    start = f"trial: {word} "
    return [line.removeprefix(start) for line in console.splitlines() if line.startswith(start)]


def test_the_system_would_become_a_master(debian: Debian) -> None:
    said = run.run(["chroot", debian.tree, "skinnybox-guest-check", "/"], ok=range(3))
    assert said.returncode == 0, said.stdout
    assert b"ok    the kernel" in said.stdout


def test_its_machine_gets_ready_and_keeps_the_package(
    fleet: Fleet, debian: Debian, up: Callable[[str], MachineView], sh: Callable[[str, str], str]
) -> None:
    for old in fleet.masters.all():
        if old.name == "of-a-package":
            fleet.masters.remove(old.reference)
    fleet.masters.import_tree(debian.disk, "of-a-package:1", as_is=False)
    overlay = Overlay(size=64 * MIB, allocation=Allocation.SPARSE)
    fleet.create(["packaged"], "of-a-package:1", Specification(overlay=overlay, memory=512 * MIB, cpus=1))
    try:
        assert up("packaged").current_report is not None
        assert sh("packaged", f"dpkg --verify {NAME}; apt-mark showhold | grep {NAME}").split() == [NAME]
        assert sh("packaged", f"dpkg --remove {NAME} >/dev/null 2>&1 || echo kept").strip() == "kept"
        assert sh("packaged", f"dpkg --audit; dpkg --verify {NAME}; ls /usr/lib/skinnybox/apply-seed").split()
        assert sh("packaged", "skinnybox-guest-check || :").splitlines()[0].startswith("no ")
    finally:
        fleet.delete(["packaged"], force=True)
        fleet.masters.remove("of-a-package:1")


def test_it_boots_with_the_package_without_it_and_without_a_trace(debian: Debian) -> None:
    sums = set[str]()
    for then, there in (("remove", True), ("purge", False), ("none", False)):
        console = debian.booted(then)
        assert trial(console, "system") == ["running"], (then, trial(console, "failed"), console[-4000:])
        assert trial(console, "root")[0].startswith("ext4")
        [left] = trial(console, "left")
        assert (int(left) > 5) is there and (left == "0") is not there
        assert trial(console, "active") == ["inactive"]
        assert trial(console, "done") == ([] if then == "none" else [then])
        sums.update(trial(console, "sums"))
        assert "Power down" in console or "Powering off" in console
    assert len(sums) == 1
