"""VM.start really boots: OVMF finds a kernel on a read-only disk, the guest speaks, its power is mirrored."""

import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from skinnybox import run
from skinnybox.masters import efi
from tests.conftest import _entry, _module
from tests.emulators.xapi import EmulatedPool, qemu_words
from tests.pace import within
from tests.xapi import records

pytestmark = [pytest.mark.boot, pytest.mark.timeout(400)]

MIB = 1 << 20
SECONDS = 120.0
MODULES = """
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console virtio_blk
button evdev qemu_fw_cfg
"""

INIT = b"""#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for m in @MODULES@; do [ ! -f /lib/$m.ko ] || insmod /lib/$m.ko; done
told() { cat "/sys/firmware/qemu_fw_cfg/by_name/opt/skinnybox/$1/raw"; }
port() { for p in /sys/class/virtio-ports/*; do
    [ "$(cat "$p/name")" = skinnybox.report ] && echo "/dev/${p##*/}"; done; }
for e in /dev/input/event*; do
    (dd if="$e" of=/dev/null bs=24 count=1 2>/dev/null && poweroff -f) &
done
for d in vda vdb; do names="$names$d=$(cat /sys/block/$d/serial):$(cat /sys/block/$d/ro) "; done
told nonce | dd of=/dev/vdb conv=notrunc 2>/dev/null
dd if=/dev/zero of=/dev/vda bs=512 count=1 2>/dev/null && names="$names written"
sync
{ echo skinnybox-report 1; echo state ready; echo "nonce $(told nonce)"; echo "image $(told nonce)-image"
  echo "address eth0 10.0.2.15/24"; echo "kernel $names"; echo end; } > "$(port)"
[ "$(told then)" != poweroff ] || poweroff -f
while :; do sleep 60; done
"""


def initrd(tree: Path, busybox: Path) -> bytes:
    found = {path.name.split(".")[0]: path for path in (tree / "lib/modules").rglob("*.ko*")}
    folders = ("bin", "lib", "dev", "proc", "sys")
    out = [_entry(name, stat.S_IFDIR | 0o755) for name in folders]
    out.append(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    out.append(_entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    out.append(_entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox"))
    for name in (name for name in MODULES.split() if name in found):
        out.append(_entry(f"lib/{name}.ko", stat.S_IFREG | 0o644, _module(found[name])))
    text = INIT.replace(b"@MODULES@", " ".join(MODULES.split()).encode())
    out.append(_entry("init", stat.S_IFREG | 0o755, text))
    return b"".join([*out, _entry("TRAILER!!!", 0)])


@pytest.fixture(scope="module")
def image(test_kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk that UEFI boots: GPT, and on its ESP the test kernel with the guest above."""
    busybox = run.find("busybox")
    if efi.missing() or busybox is None or not qemu_words.FIRMWARE.exists():
        pytest.skip(f"needs busybox-static, ovmf and {' '.join(efi.missing())}")
    folder = tmp_path_factory.mktemp("image")
    (folder / "initrd").write_bytes(initrd(test_kernel, busybox))
    kernel, program = next(test_kernel.glob("boot/vmlinuz-*")), folder / "boot.efi"
    efi.unified_kernel(
        program, kernel=kernel, initrd=folder / "initrd", command_line="console=ttyS0 quiet panic=-1"
    )
    size = efi.esp_size(program)
    efi.make_esp(folder / "esp", size, 1, {efi.BOOT_FILE: program})
    disk, identity = folder / "disk", UUID(int=7)
    with disk.open("wb") as file:
        file.seek(efi.ALIGNMENT)
        file.write((folder / "esp").read_bytes())
    partition = efi.Partition(name="esp", kind=efi.ESP_TYPE, uuid=identity, size=size)
    efi.make_table(disk, identity, [partition])
    return disk


@pytest.fixture
def pool() -> Iterator[EmulatedPool]:
    with EmulatedPool(boots=True, shutdown_timeout=60.0) as pool:
        yield pool


def until(pool: EmulatedPool, vm: str, look: Any) -> Any:
    """What `look` returns once it is true; the console where that takes too long."""
    deadline = time.monotonic() + within(SECONDS)
    while not (found := look()):
        assert time.monotonic() < deadline, pool.console_of(vm)[-3000:].decode("utf-8", "replace")
        time.sleep(0.1)
    return found


def machine(pool: EmulatedPool, api: Any, image: Path) -> tuple[str, str, str]:
    """(VM, master, overlay)."""
    sr = pool.add_sr("local")
    master = api.VDI.create(records.disk(sr, image.stat().st_size))
    run.run(["cp", "--sparse=always", image, pool.file_of(master)])
    overlay = api.VDI.create(records.disk(sr, 4 * MIB))
    vm = api.VM.clone(pool.add_template("Debian", memory=256 * MIB), "web")
    api.VM.provision(vm)
    api.VBD.create(records.drive(vm, overlay, "1"))
    api.VBD.create(records.drive(vm, master, "0", "RO", bootable=True))
    return vm, master, overlay


def told(nonce: str, then: str) -> dict[str, str]:
    return {"vm-data/skinnybox/nonce": nonce, "vm-data/skinnybox/then": then}


def stamp(api: Any, vm: str) -> str:
    """What the guest told, as a client sees it; empty before."""
    metrics = api.VM.get_guest_metrics(vm)
    return "" if metrics == "OpaqueRef:NULL" else str(api.VM_guest_metrics.get_other(metrics)["data-ts"])


def test_a_machine_boots_reports_reboots_and_switches_itself_off(pool: EmulatedPool, image: Path) -> None:
    with pool.session() as api:
        vm, master, overlay = machine(pool, api, image)
        before = pool.file_of(master).read_bytes()
        api.VM.set_xenstore_data(vm, told("first", "wait"))
        api.VM.start(vm, False, False)
        assert until(pool, vm, lambda: stamp(api, vm)) == "1 ready first first-image -"
        metrics = api.VM_guest_metrics.get_record(api.VM.get_guest_metrics(vm))
        assert metrics["os_version"]["uname"].split() == ["vda=xvda:1", "vdb=xvdb:0"]
        assert metrics["networks"]["0/ip"] == "10.0.2.15"
        assert pool.file_of(overlay).read_bytes().startswith(b"first")
        api.VM.set_xenstore_data(
            vm, {"vm-data/skinnybox/nonce": "again", "vm-data/skinnybox/then": "poweroff"}
        )
        api.VM.clean_reboot(vm)
        until(pool, vm, lambda: api.VM.get_power_state(vm) == "Halted")
        assert stamp(api, vm) == "1 ready again again-image -"
        assert pool.file_of(overlay).read_bytes().startswith(b"again")
        assert pool.file_of(master).read_bytes() == before
        assert not any(api.VBD.get_currently_attached(each) for each in api.VM.get_VBDs(vm))


def test_the_plug_is_pulled(pool: EmulatedPool, image: Path) -> None:
    with pool.session() as api:
        vm, _, _ = machine(pool, api, image)
        api.VM.start(vm, True, False)
        assert api.VM.get_power_state(vm) == "Paused"
        (running,) = pool.xapi.machines.values()
        api.VM.hard_shutdown(vm)
        assert api.VM.get_power_state(vm) == "Halted" and running.ended
