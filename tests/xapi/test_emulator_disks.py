"""Disks: who may share one, what one costs on which storage, what a new one holds, when one may go."""

from collections.abc import Callable

import pytest

from tests.emulators.xapi import space
from tests.xapi import records
from tests.xapi.conftest import Place

Refused = Callable[..., list[str]]
MIB, GIB = 1 << 20, 1 << 30


def head(place: Place, vdi: str, size: int) -> bytes:
    with place.pool.file_of(vdi).open("rb") as file:
        return file.read(size)


def test_readers_share_a_disk_and_a_writer_does_not(place: Place, refused: Refused) -> None:
    api, master = place.api, place.disk()
    readers = [place.machine(f"reader-{number}") for number in range(3)]
    for vm in readers:
        place.drive(vm, master, "0", "RO")
        api.VM.start(vm, False, False)
    writer = place.machine("writer")
    place.drive(writer, master, "0", "RW")
    assert refused(api.VM.start, writer, False, False) == ["VDI_IN_USE", master]
    for vm in readers:
        api.VM.hard_shutdown(vm)
    api.VM.start(writer, False, False)
    assert refused(api.VM.start, readers[0], False, False) == ["VDI_IN_USE", master]


def test_a_sharable_disk_lets_everybody_in_and_cannot_be_snapshot(place: Place, refused: Refused) -> None:
    api, shared = place.api, place.disk(sharable=True)
    for name in ("one", "two"):
        vm = place.machine(name)
        place.drive(vm, shared, "0", "RW")
        api.VM.start(vm, False, False)
    assert refused(api.VDI.snapshot, shared) == ["VDI_IS_SHARABLE", shared]
    assert refused(api.VM.snapshot, vm, "snap", [])[0] == "VDI_IS_SHARABLE"


def test_a_read_only_disk_is_refused_to_hvm_only_when_plugged(place: Place, refused: Refused) -> None:
    api, vm, master = place.api, place.machine(), place.disk()
    api.VM.start(vm, False, False)
    vbd = place.drive(vm, master, "0", "RO")
    assert refused(api.VBD.plug, vbd) == ["DISK_VBD_MUST_BE_READWRITE_FOR_HVM", vbd]
    overlay = place.drive(vm, place.disk(), "1", unpluggable=True)
    api.VBD.plug(overlay)
    assert api.VBD.get_device(overlay) == "xvdb"
    assert refused(api.VBD.destroy, overlay)[0] == "OPERATION_NOT_ALLOWED"
    api.VBD.unplug(overlay)
    assert refused(api.VBD.unplug, overlay) == ["DEVICE_ALREADY_DETACHED", overlay]


def test_cd_drives(place: Place, refused: Refused) -> None:
    api, vm, image = place.api, place.machine(), place.disk()
    wrong = records.drive(vm, image, "3", "RW", type="CD")
    assert refused(api.VBD.create, wrong) == ["VBD_CDS_MUST_BE_READONLY"]
    empty = records.drive(vm, "OpaqueRef:NULL", "0", "RW", empty=True)
    assert refused(api.VBD.create, empty) == ["VBD_NOT_REMOVABLE_MEDIA", "in constructor"]
    drive = place.drive(vm, "OpaqueRef:NULL", "3", "RO", type="CD", empty=True)
    api.VM.start(vm, False, False)
    assert refused(api.VBD.unplug, drive)[0] == "OPERATION_NOT_ALLOWED"
    assert refused(api.VBD.eject, drive) == ["VBD_IS_EMPTY", drive]
    api.VBD.insert(drive, image)
    assert refused(api.VBD.insert, drive, image) == ["VBD_NOT_EMPTY", drive]
    api.VBD.eject(drive)


def test_device_numbers(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    place.drive(vm, place.disk(), "1")
    for same in ("1", "xvdb", "hdb", "sdb"):
        again = records.drive(vm, place.disk(), same)
        assert refused(api.VBD.create, again) == ["DEVICE_ALREADY_EXISTS", same]
    assert refused(api.VBD.create, records.drive(vm, place.disk(), "third"))[0] == "INVALID_DEVICE"
    assert refused(api.VBD.create, records.drive(vm, place.disk(), "255"))[0] == "INVALID_DEVICE"
    vbd = place.drive(vm, place.disk(), "autodetect")
    assert api.VBD.get_userdevice(vbd) == "0"
    assert api.VM.get_allowed_VBD_devices(vm)[:2] == ["2", "3"]


def test_the_mode_changes_only_while_halted(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    vbd = place.drive(vm, place.disk(), "0", "RO")
    api.VM.start(vm, False, False)
    assert refused(api.VBD.set_mode, vbd, "RW") == ["VM_BAD_POWER_STATE", vm, "halted", "running"]


def test_a_halted_machine_does_not_protect_its_disk(place: Place, refused: Refused) -> None:
    api, vm, master = place.api, place.machine(), place.disk()
    vbd = place.drive(vm, master, "0", "RO")
    api.VM.start(vm, False, False)
    assert refused(api.VDI.destroy, master) == ["VDI_IN_USE", master, "destroy"]
    api.VM.hard_shutdown(vm)
    api.VDI.destroy(master)
    assert vbd not in api.VBD.get_all() and vm in api.VM.get_all()


def test_a_scan_forgets_read_only(place: Place, refused: Refused) -> None:
    api, vm, disk = place.api, place.machine(), place.disk(read_only=True)
    assert refused(api.VBD.create, records.drive(vm, disk, "0")) == ["VDI_READONLY", disk]
    api.SR.scan(place.thin)
    assert not api.VDI.get_read_only(disk)
    assert refused(api.VDI.set_read_only, disk, True) == ["PERMISSION_DENIED", ""]
    assert refused(api.VDI.set_sharable, disk, True) == ["PERMISSION_DENIED", ""]


@pytest.mark.parametrize(("gib", "mib"), [(1, 1032), (2, 2060), (4, 4112), (10, 10268), (100, 102608)])
def test_what_a_thick_volume_takes(gib: int, mib: int) -> None:
    assert space.thick_volume(gib * GIB) == mib * MIB


def test_what_an_empty_thin_disk_takes() -> None:
    assert space.empty_overhead(4 * GIB) == 12 * 1024
    assert space.empty_overhead(100 * GIB) == 212 * 1024


def test_a_clone_is_dear_on_thick_storage_and_cheap_on_thin(place: Place) -> None:
    api = place.api
    taken = {}
    for sr in (place.thin, place.thick):
        master = place.disk(sr, 256 * MIB)
        with place.pool.file_of(master).open("r+b") as file:
            file.write(b"m" * (8 * MIB))
        api.SR.scan(sr)
        before = int(api.SR.get_physical_utilisation(sr))
        clone = api.VDI.clone(master)
        assert head(place, clone, 8 * MIB) == b"m" * (8 * MIB)
        taken[sr] = int(api.SR.get_physical_utilisation(sr)) - before
    assert taken[place.thin] < MIB and taken[place.thick] > 256 * MIB


def test_full_storage(place: Place, refused: Refused) -> None:
    small = place.pool.add_sr("small", "lvm", size=GIB, on=[0])
    full = refused(place.api.VDI.create, records.disk(small, GIB))
    assert full == ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]
    place.disk(small, 512 * MIB)
    assert int(place.api.SR.get_physical_utilisation(small)) == space.thick_volume(512 * MIB)
    assert refused(place.api.VDI.create, records.disk(small, 512 * MIB))[0] == "SR_BACKEND_FAILURE_44"


def test_what_a_new_disk_holds(place: Place) -> None:
    blank = b"\0" * MIB
    raw = {"type": "raw"}
    held = {
        "thin": place.disk(place.thin),
        "vhd": place.disk(place.thick),
        "raw": place.disk(place.thick, sm_config=raw),
        "dirty": place.disk(place.pool.add_sr("dirty", "ext", dirty=True)),
    }
    first = {name: head(place, vdi, MIB) for name, vdi in held.items()}
    assert first["thin"] == first["vhd"] == blank
    assert first["raw"] != blank and first["dirty"] != blank
    with place.pool.file_of(held["raw"]).open("r+b") as file:
        file.write(b"a tenant's secret")
    place.api.VDI.destroy(held["raw"])
    secret = b"a tenant's secret"
    assert head(place, place.disk(place.thick, sm_config=raw), len(secret)) == secret


def test_raw_disks_are_copied_not_cloned(place: Place, refused: Refused) -> None:
    raw = place.disk(sm_config={"type": "raw"})
    assert refused(place.api.VDI.snapshot, raw) == ["UNIMPLEMENTED_IN_SM_BACKEND", place.thin]
    clone = place.api.VDI.clone(raw)
    assert place.api.VDI.get_sm_config(clone) == {}


def test_a_disk_grows_while_nobody_uses_it(place: Place, refused: Refused) -> None:
    api, vm, disk = place.api, place.machine(), place.disk()
    place.drive(vm, disk, "0")
    api.VM.start(vm, False, False)
    assert refused(api.VDI.resize, disk, str(GIB)) == ["VDI_IN_USE", disk, "resize"]
    api.VM.hard_shutdown(vm)
    api.VDI.resize(disk, str(GIB + 1))
    assert api.VDI.get_virtual_size(disk) == str(GIB + 2 * MIB)
    assert place.pool.file_of(disk).stat().st_size == GIB + 2 * MIB
    assert refused(api.VDI.resize, disk, str(MIB))[0] == "SR_BACKEND_FAILURE_79"


def test_unplugged_storage_takes_no_disk(place: Place, refused: Refused) -> None:
    (pbd,) = place.api.SR.get_PBDs(place.thick)
    place.api.PBD.unplug(pbd)
    assert refused(place.api.VDI.create, records.disk(place.thick, GIB)) == ["SR_NO_PBDS", place.thick]


def test_on_boot_reset_forbids_snapshots(place: Place, refused: Refused) -> None:
    disk = place.disk()
    place.api.VDI.set_on_boot(disk, "reset")
    assert refused(place.api.VDI.snapshot, disk) == ["VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION"]
    linstor = place.pool.add_sr("drbd", "linstor")
    refusal = refused(place.api.VDI.set_on_boot, place.disk(linstor), "reset")
    assert refusal == ["SR_OPERATION_NOT_SUPPORTED", linstor]
