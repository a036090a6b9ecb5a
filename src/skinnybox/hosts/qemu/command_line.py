"""The QEMU command line, a pure function of a description.

Everything QEMU touches is a descriptor it inherits: it runs as a user who may open none of the files, and a
path may be longer than a socket's name can be.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from skinnybox.model import Allocation, Instance, Network
from skinnybox.sizes import MIB

REPORT_PORT = "skinnybox.report"
MASTER_SERIAL = "skinny-master"
OVERLAY_SERIAL = "skinny-overlay"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


class Accelerator(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """Numbers of open descriptors: files (`master` read-only, `overlay` read-write), listening unix sockets
    (`console` to `events`) and, for passt, the connected socket `stream`."""

    kernel: int
    initrd: int
    master: int
    overlay: int
    console: int
    report: int
    qmp: int
    events: int
    stream: int | None = None

    def inherited(self) -> tuple[int, ...]:
        files = (self.kernel, self.initrd, self.master, self.overlay)
        sockets = (self.console, self.report, self.qmp, self.events)
        return (*files, *sockets, *(() if self.stream is None else (self.stream,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One start of one instance. `nonce` (hex) names this very start."""

    instance: Instance
    nonce: str
    accelerator: Accelerator
    network: Network
    descriptors: Descriptors
    program: str = "qemu-system-x86_64"


def argv(machine: Machine) -> list[str]:
    """QEMU's words. The machine comes up paused, so that whoever keeps its console can attach first."""
    return [
        machine.program,
        *_start(machine),
        *board(machine.accelerator, cpus=machine.instance.cpus, memory=machine.instance.memory),
        *_kernel(machine),
        *_disk("master", machine.descriptors.master, MASTER_SERIAL, "read-only=on"),
        *_disk("overlay", machine.descriptors.overlay, OVERLAY_SERIAL, _discard(machine.instance)),
        *_network(machine),
        *_ports(machine.descriptors),
    ]


def kernel_parameters(instance: Instance, nonce: str) -> str:
    """What the guest is told on its kernel's command line."""
    ours = f"boot=skinnybox skinnybox.instance={instance.uuid} skinnybox.nonce={nonce}"
    return f"{ours} console=ttyS0 ro quiet panic=-1"


def board(accelerator: Accelerator, *, cpus: int, memory: int) -> list[str]:
    """The hardware without its disks and ports; `memory` in bytes."""
    fast = accelerator is Accelerator.KVM
    # fmt: off
    return [
        "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35,usb=off,vmport=off,sata=off,smbus=off",
        "-accel", "kvm" if fast else "tcg,thread=multi",
        # Emulating the newest processor costs a quarter of the boot time: the kernel uses what it finds.
        "-cpu", "host" if fast else "qemu64,-svm",
        "-smp", str(cpus),
        "-m", f"{max(memory // MIB, 1)}M",
        "-rtc", "base=utc,driftfix=slew" if fast else "base=utc",
        "-device", "pvpanic",
        "-device", "virtio-rng-pci",
    ]
    # fmt: on


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
        "-append", kernel_parameters(machine.instance, machine.nonce),
    ]
    # fmt: on


def _disk(name: str, descriptor: int, serial: str, options: str) -> list[str]:
    # The overlay's lock is held on this very descriptor; QEMU's own would weaken it (fcntl locks merge).
    locking = "auto" if serial == MASTER_SERIAL else "off"
    file = f"driver=file,filename=/dev/fdset/{descriptor},locking={locking}"
    # fmt: off
    return [
        "-add-fd", f"fd={descriptor},set={descriptor}",
        "-blockdev", f"{file},node-name={name}-file,{options}",
        "-blockdev", f"driver=raw,file={name}-file,node-name={name},{options}",
        "-device", f"virtio-blk-pci,drive={name},serial={serial}",
    ]
    # fmt: on


def _discard(instance: Instance) -> str:
    kept = instance.overlay.allocation is Allocation.RESERVED
    return "discard=ignore,detect-zeroes=off" if kept else "discard=unmap,detect-zeroes=unmap"


def _network(machine: Machine) -> list[str]:
    card = f"virtio-net-pci,netdev=net,mac={machine.instance.mac},romfile="
    return ["-netdev", _netdev(machine), "-device", card]


def _netdev(machine: Machine) -> str:
    if machine.network is Network.PASST:
        return f"stream,id=net,server=off,addr.type=fd,addr.str={machine.descriptors.stream}"
    closed = ",restrict=on" if machine.network is Network.RESTRICTED else ""
    return f"user,id=net,ipv6=off{closed}{_around(machine.instance)}"


def _around(instance: Instance) -> str:
    """The network QEMU plays: its own, or the one a static address says it is in."""
    static, address = instance.seed.network, ""
    words = ""
    if static is not None:
        own = ipaddress.ip_interface(static.address)
        address = str(own.ip)
        words = f",net={own.network},dhcpstart={own.ip}"
        words += f",host={static.gateway}" if static.gateway else ""
    port = instance.ssh_port
    return f"{words},hostfwd=tcp:127.0.0.1:{port}-{address}:22" if port else words


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
