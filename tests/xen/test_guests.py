"""The guest part on a real Xen: told by its xenstore, on its disks, reporting through it."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.hosts.xapi import xenstore_data
from skinnybox.hosts.xapi.guest_metrics import Stamp, stamp_of
from skinnybox.masters.disk import image_of
from skinnybox.model import (
    INITRD_FILE,
    KERNEL_FILE,
    Allocation,
    Instance,
    Layer,
    Master,
    Overlay,
    Seed,
    SeedFile,
    Stack,
    StaticNetwork,
    image_uuid,
)
from skinnybox.overlays import inspect
from skinnybox.overlays.make import make
from skinnybox.overlays.seed import seed_message
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB
from tests.layered import planted
from tests.samples import an_instance
from tests.xen.host import first_domain, run_to_the_end

pytestmark = [pytest.mark.boot, pytest.mark.full, pytest.mark.timeout(900)]

SIZE = 64 * MIB
ADDRESSES = {"blank": "10.9.0.5", "made": "10.9.0.6"}

CONFIG = """
name = "{name}"
uuid = "{uuid}"
type = "pv"
memory = 320
vcpus = 1
kernel = "/guest/kernel"
ramdisk = "/guest/initrd"
extra = "boot=skinnybox console=hvc0 ro quiet panic=-1 {quick}"
on_poweroff = "preserve"
on_crash = "preserve"
disk = ["phy:/dev/vda,xvda,r", "phy:/dev/{disk},xvdb,w"{layers}]
vif = ["mac={mac}"]
"""

QUICK = (
    "norandmaps mitigations=off apparmor=0 audit=0 systemd.show_status=off "
    "systemd.unit=skinnybox-report.service systemd.wants=systemd-networkd.service"
)
"""Emulated, a whole Debian takes minutes: only what the report needs is started."""

Said = dict[tuple[str, int], dict[str, str]]
"""By guest and start: the keys it wrote, and in which `state` Xen had it at its end."""


PLACES = {"vdd": "xvde", "vde": "xvdt"}
"""Where the layers of the machine `made` are: the first of sixteen, and the last, which has a number of the
other kind (Linux, xen-blkfront.c: from the 17th disk on)."""


def instance(name: str, master: Master, layers: Sequence[Layer] = ()) -> Instance:
    stack = Stack(
        master=master.id,
        reference=master.reference,
        images=(image_of(master).digest, *(layer.images[0].digest for layer in layers)),
        layers=tuple(layer.reference for layer in layers),
        layer_ids=tuple(layer.id for layer in layers),
    )
    network = StaticNetwork(address=f"{ADDRESSES[name]}/24")
    file = SeedFile(path="/etc/of-the-seed", content=secrets.token_bytes(6000))  # so that it is told in parts
    return an_instance(
        name,
        stack=stack,
        overlay=Overlay(size=SIZE, allocation=Allocation.SPARSE),
        seed=Seed(hostname=name, machine_id=secrets.token_hex(16), network=network, files=(file,)),
    )


def told(machine: Instance, nonce: str, *, blank: bool) -> bytes:
    data = {**xenstore_data.told(machine, blank=blank), xenstore_data.NONCE: nonce}
    if machine.stack.layers:
        data[f"{xenstore_data.PREFIX}layers"] = ",".join(PLACES.values())
    return "".join(f"{key} {value}\n" for key, value in data.items()).encode()


def parsed(console: str) -> Said:
    said: Said = defaultdict(dict)
    for line in console.splitlines():
        words = line.removeprefix("@ ").split(" ", 4)
        if line.startswith("@ ") and len(words) > 3:
            _, guest, start, key, *value = words
            said[guest, int(start)][key] = value[0] if value else ""
    return said


def report(said: dict[str, str]) -> Stamp:
    """As a pool's client reads it."""
    assert "error" not in said, said
    assert said["data/updated"] == "1"
    found = stamp_of({"other": {"data-ts": said["data/ts"]}})
    assert found is not None, said
    return found


@pytest.fixture
def layers(fleet: Fleet, master: str, tmp_path: Path) -> Iterator[list[Layer]]:
    """Two for that master, from the lowest up."""
    trees = {name: planted(tmp_path / name, {f"srv/{name}/file": name}) for name in ("low", "top")}
    made = [fleet.layers.import_tree(tree, f"{name}:xen", above=master) for name, tree in trees.items()]
    yield made
    for layer in made:
        fleet.layers.remove(layer.reference)


def test_two_guests_on_one_master(
    fleet: Fleet, master: str, layers: list[Layer], xen: Path, busybox: Path, tmp_path: Path
) -> None:
    """One formats its blank overlay on the host's order and comes up again without one; the other's overlay
    was made by the host, it has two layers, and at its second start it is told to be the first."""
    sealed = fleet.masters.find(master)
    folder = fleet.masters.folder(sealed)
    image = folder / image_of(sealed).file
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    machines = {"blank": instance("blank", sealed), "made": instance("made", sealed, layers)}
    disks = overlays(tmp_path, machines["made"])
    nonces = {(name, start): secrets.token_hex(16) for start in (1, 2) for name in machines}
    files = {f"guest/{name}": (folder / name).read_bytes() for name in (KERNEL_FILE, INITRD_FILE)}
    for (name, machine), disk in zip(machines.items(), ("vdb", "vdc"), strict=True):
        more = [f', "phy:/dev/{own},{place},r"' for own, place in PLACES.items() if machine.stack.layers]
        config = CONFIG.format(
            name=name, uuid=machine.uuid, disk=disk, mac=machine.mac, quick=QUICK, layers="".join(more)
        )
        files[f"guests/{name}/config"] = config.encode()
        for start, told_as in ((1, machine), (2, machines["blank"])):
            order = (name, start) == ("blank", 1)
            files[f"guests/{name}/told-{start}"] = told(told_as, nonces[name, start], blank=order)

    initrd = first_domain(xen, busybox, files)
    above = layer_disks(fleet, layers, tmp_path)
    said = parsed(run_to_the_end(tmp_path, xen, initrd, image, [*disks.values(), *above]))

    for name, start in (("blank", 1), ("made", 1), ("blank", 2)):
        check_ready(said[name, start], nonces[name, start], sealed, ADDRESSES[name], machines[name])
    first, other, again = (report(said[start]) for start in (("blank", 1), ("made", 1), ("blank", 2)))
    assert first.host_keys == again.host_keys != other.host_keys
    check_refused(said["made", 2], nonces["made", 2], machines)
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before
    for name, machine in machines.items():
        check_overlay(disks[name], machine)


def layer_disks(fleet: Fleet, layers: Sequence[Layer], folder: Path) -> list[Path]:
    found = [folder / f"{layer.name}.img" for layer in layers]
    for layer, disk in zip(layers, found, strict=True):
        disk.write_bytes((fleet.layers.folder(layer) / layer.images[0].file).read_bytes())
    return found


def overlays(folder: Path, made: Instance) -> dict[str, Path]:
    """By guest, in the order of the names of the disks there."""
    disks = {name: folder / f"{name}.img" for name in ADDRESSES}
    with disks["blank"].open("wb") as file:
        file.truncate(SIZE)
    contents = xenstore_data.contents_of(made)
    form = template(folder / "templates", SIZE)
    make(form, disks["made"], base=contents.base, seed=contents.seed, allocation=Allocation.SPARSE)
    return disks


def check_ready(said: dict[str, str], nonce: str, sealed: Master, address: str, machine: Instance) -> None:
    found = report(said)
    assert found.ready, found.reason
    assert found.nonce == nonce
    assert found.images == tuple(map(image_uuid, machine.stack.images))
    assert found.generation == 1
    assert found.dax is False
    assert found.host_keys
    assert found.overlay is not None and 0 < found.overlay[1] < found.overlay[0] <= SIZE
    assert said["data/os_uname"] == sealed.kernel_version
    assert said["attr/vif/0/ipv4/0"] == address
    assert said["state"] == "---s--"  # shut down, and in order


def check_refused(said: dict[str, str], nonce: str, machines: dict[str, Instance]) -> None:
    found = report(said)
    assert not found.ready
    assert found.nonce == nonce
    whose, told_as = machines["made"].uuid, machines["blank"].uuid
    assert found.reason == f"the overlay belongs to the machine {whose}, and this is {told_as}"
    assert said["state"] == "---s--"


def check_overlay(disk: Path, machine: Instance) -> None:
    """The seed came over whole, and a refused start left not even its journal behind."""
    assert inspect.read_base(disk).get("instance") == str(machine.uuid)
    (place,) = inspect.read_place(disk, "seed")
    with disk.open("rb") as file:
        file.seek(place[0])
        assert file.read(place[1]).rstrip(b"\n\0") == seed_message(machine).rstrip(b"\n")
    shape = inspect.read_shape(disk)
    assert (shape.label, shape.size, shape.has_upper) == ("skinny-overlay", SIZE, True)
    assert shape.clean
    assert inspect.read_identity(disk, machine.uuid)
