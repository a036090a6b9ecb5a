"""The QEMU command line, a pure function of a description.

Everything QEMU touches is a descriptor it inherits: it runs as a user who may open none of the files, and a
path may be longer than a socket's name can be.
"""

import ipaddress
from dataclasses import dataclass

from skinnybox.emulation.board import PROGRAM, SANDBOX, Accelerator, board, kernel_words
from skinnybox.hosts import reach
from skinnybox.model import Allocation, DiskKind, Instance, Network

REPORT_PORT = "skinnybox.report"
OVERLAY_SERIAL, DATA_SERIAL = "skinny-overlay", "skinny-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImage:
    """An image of the stack, open to be read; `size` in bytes."""

    descriptor: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """Numbers of open descriptors: files (`images` in the stack's order, `overlay` and `data`
    read-write), listening unix sockets (`console` to `events`) and, for passt, the connected socket `stream`,
    or, for a bridge, the `tap`. `more_taps`: of the cards beside the first, None for one that is on no
    bridge. `firmware`: by name, files of what only the guest may read."""

    kernel: int
    initrd: int
    images: tuple[OpenImage, ...]
    overlay: int
    console: int
    report: int
    qmp: int
    events: int
    stream: int | None = None
    tap: int | None = None
    data: int | None = None
    more_taps: tuple[int | None, ...] = ()
    firmware: tuple[tuple[str, int], ...] = ()

    @property
    def disks(self) -> tuple[int, ...]:
        """The machine's own."""
        return (self.overlay,) if self.data is None else (self.overlay, self.data)

    def inherited(self) -> tuple[int, ...]:
        images = (image.descriptor for image in self.images)
        files = (self.kernel, self.initrd, *images, *self.disks)
        sockets = (self.console, self.report, self.qmp, self.events)
        cards = (self.stream, self.tap, *self.more_taps)
        told = (number for _, number in self.firmware)
        return (*files, *sockets, *(number for number in cards if number is not None), *told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One start of one instance. `nonce` (hex) names this very start."""

    instance: Instance
    nonce: str
    accelerator: Accelerator
    network: Network
    descriptors: Descriptors
    program: str = PROGRAM


def argv(machine: Machine) -> list[str]:
    """QEMU's words. The machine comes up paused, so that whoever keeps its console can attach first."""
    return [
        machine.program,
        *_start(machine),
        *board(
            machine.accelerator,
            cpus=machine.instance.cpus,
            memory=machine.instance.memory,
            mapped=tuple(image.size for image in _mapped(machine)),
        ),
        *_kernel(machine),
        *_firmware(machine.descriptors),
        *_images(machine),
        *_own_disks(machine),
        *_network(machine),
        *_ports(machine.descriptors),
    ]


def kernel_parameters(instance: Instance, nonce: str, accelerator: Accelerator) -> str:
    """What the guest is told on its kernel's command line."""
    boot = "skinnybox" if instance.encrypt is None else "encrypted"
    ours = f"boot={boot} skinnybox.instance={instance.uuid} skinnybox.nonce={nonce}"
    # An image lies above 4 GiB: the kernel would keep 64 MiB for devices that cannot reach there. Ours can.
    bounce = " swiotlb=noforce" if instance.stack.dax else ""
    return f"{ours} ro quiet {kernel_words(accelerator)}{bounce}"


def _mapped(machine: Machine) -> tuple[OpenImage, ...]:
    return machine.descriptors.images if machine.instance.stack.dax else ()


def _start(machine: Machine) -> list[str]:
    # fmt: off
    return [
        "-name", f"guest={machine.instance.name},process=skinny-{machine.instance.name}"[:200],
        "-uuid", str(machine.instance.uuid),
        "-S",
        "-sandbox", SANDBOX,
        "-action", "reboot=reset,shutdown=poweroff,panic=shutdown",
    ]
    # fmt: on


def _kernel(machine: Machine) -> list[str]:
    # A path below /proc/self/fd opens the file itself: no folder above it needs to be open to QEMU's user.
    # fmt: off
    return [
        "-kernel", f"/proc/self/fd/{machine.descriptors.kernel}",
        "-initrd", f"/proc/self/fd/{machine.descriptors.initrd}",
        "-append", kernel_parameters(machine.instance, machine.nonce, machine.accelerator),
    ]
    # fmt: on


def _firmware(descriptors: Descriptors) -> list[str]:
    """Read by QEMU as it reads the kernel, and seen in no list of processes."""
    return [
        word
        for name, number in descriptors.firmware
        for word in ("-fw_cfg", f"name=opt/skinnybox/{name},file=/proc/self/fd/{number}")
    ]


def _images(machine: Machine) -> list[str]:
    """Each is a disk with a serial or, with DAX, a piece of memory that the guest knows by its filesystem."""
    attach = _pmem if machine.instance.stack.dax else _image_disk
    return [word for number, image in enumerate(machine.descriptors.images) for word in attach(number, image)]


def _image_disk(number: int, image: OpenImage) -> list[str]:
    name = f"layer-{number}" if number else "master"
    return _disk(name, image.descriptor, f"skinny-{name}", "read-only=on")


def _pmem(number: int, image: OpenImage) -> list[str]:
    # Not /dev/fdset: memory comes from a path that QEMU opens by itself, as it does the kernel.
    file = f"mem-path=/proc/self/fd/{image.descriptor},size={image.size}"
    # fmt: off
    return [
        "-object", f"memory-backend-file,id=image{number},{file},share=on,readonly=on",
        "-device", f"virtio-pmem-pci,memdev=image{number},id=pmem{number}",
    ]
    # fmt: on


def _own_disks(machine: Machine) -> list[str]:
    """The data disk behind all others: a machine that gets one finds them where they were."""
    instance, files = machine.instance, machine.descriptors
    overlay = instance.disks[DiskKind.OVERLAY].allocation
    words = _disk("overlay", files.overlay, OVERLAY_SERIAL, _discard(overlay))
    if files.data is None:
        return words
    return [
        *words,
        *_disk("data", files.data, DATA_SERIAL, _discard(instance.disks[DiskKind.DATA].allocation)),
    ]


def _disk(name: str, descriptor: int, serial: str, options: str) -> list[str]:
    # Its own disks' locks are held on these very descriptors; QEMU's own would weaken them (fcntl locks
    # merge).
    locking = "off" if serial in (OVERLAY_SERIAL, DATA_SERIAL) else "auto"
    file = f"driver=file,filename=/dev/fdset/{descriptor},locking={locking}"
    # fmt: off
    return [
        "-add-fd", f"fd={descriptor},set={descriptor}",
        "-blockdev", f"{file},node-name={name}-file,{options}",
        "-blockdev", f"driver=raw,file={name}-file,node-name={name},{options}",
        "-device", f"virtio-blk-pci,drive={name},serial={serial}",
    ]
    # fmt: on


def _discard(allocation: Allocation) -> str:
    kept = allocation is Allocation.RESERVED
    return "discard=ignore,detect-zeroes=off" if kept else "discard=unmap,detect-zeroes=unmap"


def _network(machine: Machine) -> list[str]:
    words = ["-netdev", _netdev(machine), "-device", _card("net", machine.instance.mac)]
    for number, tap in enumerate(machine.descriptors.more_taps, 1):
        name = f"net{number}"
        nowhere = f"user,id={name},ipv6=off,restrict=on,net=10.0.{2 + number}.0/24"  # not the first one's
        netdev = nowhere if tap is None else f"tap,id={name},fd={tap}"
        words += ["-netdev", netdev, "-device", _card(name, machine.instance.mac_of(number))]
    return words


def _card(netdev: str, mac: str) -> str:
    return f"virtio-net-pci,netdev={netdev},mac={mac},romfile="


def _netdev(machine: Machine) -> str:
    if machine.network is Network.PASST:
        return f"stream,id=net,server=off,addr.type=fd,addr.str={machine.descriptors.stream}"
    if machine.network is Network.BRIDGE:
        return f"tap,id=net,fd={machine.descriptors.tap}"
    closed = ",restrict=on" if machine.network is Network.RESTRICTED else ""
    return f"user,id=net,ipv6=off{closed}{_around(machine.instance)}"


def _around(instance: Instance) -> str:
    """The network QEMU plays: its own, or the one a static address says it is in."""
    static, address = instance.seed.network, ""
    words = ""
    if static is not None:
        own = ipaddress.ip_interface(next((a for a in static.addresses if ":" not in a), static.address))
        address = str(own.ip)
        words = f",net={own.network},dhcpstart={own.ip}"
        words += "".join(f",host={gateway}" for gateway in static.gateways if ":" not in gateway)
    ways = (f",hostfwd=tcp:{way.address}:{way.port}-{address}:{way.to}" for way in reach.ways_in(instance))
    return words + "".join(ways)


def _ports(descriptors: Descriptors) -> list[str]:
    # fmt: off
    return [
        *_listening("console", descriptors.console),
        "-serial", "chardev:console",
        "-device", "virtio-serial-pci,max_ports=2",
        *_listening("report", descriptors.report),
        "-device", f"virtserialport,chardev=report,name={REPORT_PORT}",
        *_listening("qmp", descriptors.qmp),
        "-mon", "chardev=qmp,mode=control",
        *_listening("events", descriptors.events),
        "-mon", "chardev=events,mode=control",
    ]
    # fmt: on


def _listening(name: str, descriptor: int) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={descriptor},server=on,wait=off"]
