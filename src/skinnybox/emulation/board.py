"""The hardware that QEMU makes, the same for machines, for the small machine of an appliance and for trials
of what this computer can: words of a command line, so that the three cannot drift apart."""

from collections.abc import Sequence
from enum import StrEnum

from skinnybox.sizes import MIB

PROGRAM = "qemu-system-x86_64"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
TRANSLATED = 128 * MIB
"""What an emulated guest has of the host's memory for its translated code, besides its own. QEMU would give
it 1 GiB, and every guest comes to fill that: what was translated is thrown away only when there is no room.

Two and a half minutes of dpkg, perl, md5sum and many short programs, in a guest of 512 MiB: 1609 MiB of PSS
and 148.9 s of CPU with 1 GiB; 600 MiB and 142.2 and 140.5 s with 128 MiB; 517 MiB and 150.6 and 142.0 s with
64. So no bound costs what could be told from noise; 64 was the dearer one in both pairs, and leaves less room
for a guest that runs more at once than this one did."""
_TRIAL_MEMORY = 256 * MIB


class Accelerator(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


def board(accelerator: Accelerator, *, cpus: int, memory: int, mapped: Sequence[int] = ()) -> list[str]:
    """The hardware without its disks and ports; `memory` in bytes, with room above it for images that
    the guest maps, of so many bytes each."""
    fast = accelerator is Accelerator.KVM
    # fmt: off
    return [
        "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35,usb=off,vmport=off,sata=off,smbus=off",
        "-accel", "kvm" if fast else f"tcg,thread=multi,tb-size={TRANSLATED // MIB}",
        # Emulating the newest processor costs a quarter of the boot time: the kernel uses what it finds.
        "-cpu", "host" if fast else "qemu64,-svm",
        "-smp", str(cpus),
        "-m", _memory(max(memory // MIB, 1), mapped),
        "-rtc", "base=utc,driftfix=slew" if fast else "base=utc",
        "-device", "pvpanic",
        "-device", "virtio-rng-pci",
    ]
    # fmt: on


def kernel_words(accelerator: Accelerator) -> str:
    """What a guest's kernel is told of this hardware. An emulated timer ticks late where the host has much
    else to do, and a kernel that checks it panics ("IO-APIC + timer doesn't work!"); with KVM none checks."""
    checks = "" if accelerator is Accelerator.KVM else " no_timer_check"
    return f"console=ttyS0 panic=-1{checks}"


def _memory(mib: int, mapped: Sequence[int]) -> str:
    """Every slot also gives QEMU a GiB of address space to align an image in."""
    room = sum(-(-size // MIB) for size in mapped)
    return f"{mib}M,slots={len(mapped)},maxmem={mib + room}M" if mapped else f"{mib}M"


def trial_argv(accelerator: Accelerator, cpus: int, *, kernel: int, initrd: int) -> list[str]:
    """QEMU's words for a trial of the hardware machines get: a kernel and its first root, both descriptors,
    and a serial line on the standard output. It ends where a machine would start anew."""
    # fmt: off
    return [
        PROGRAM, "-sandbox", SANDBOX, "-no-reboot",
        *board(accelerator, cpus=cpus, memory=_TRIAL_MEMORY),
        "-kernel", f"/proc/self/fd/{kernel}", "-initrd", f"/proc/self/fd/{initrd}",
        "-append", kernel_words(accelerator),
        "-serial", "stdio", "-monitor", "none",
    ]
    # fmt: on
