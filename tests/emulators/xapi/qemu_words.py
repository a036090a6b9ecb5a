"""The QEMU command line of one machine, a pure function of what the pool's records say.

There is no xenstore under QEMU: `vm-data/skinnybox/X` comes as the fw_cfg file `opt/skinnybox/X`, and the
guest's word back on a virtio-serial port. Disks are virtio-blk in the order of their userdevices; each has as
serial the name it has on Xen (`xvda` for userdevice 0).
"""

from dataclasses import dataclass
from pathlib import Path

from tests.emulators.xapi import device_numbers

REPORT_PORT = "skinnybox.report"
SEED_KEYS = "vm-data/skinnybox/"
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
FIRMWARE_STORE = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
STORE, CONSOLE = "firmware.fd", "console.log"
_LONGEST_NAME = 55


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    place: int
    file: Path
    read_only: bool
    is_cd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`bridge` is one of this machine, which the guest's packets really reach; None: they reach nobody."""

    mac: str
    bridge: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """`memory` in bytes; `cards` in the order of the VIFs; `seed` maps fw_cfg names to files; `folder` is the
    run's own, with an attach_script for each card that has a bridge."""

    name: str
    uuid: str
    memory: int
    cpus: int
    uefi: bool
    paused: bool
    drives: tuple[Drive, ...]
    cards: tuple[Card, ...]
    seed: dict[str, Path]
    folder: Path


def seed_names(name: str, xenstore_data: dict[str, str]) -> dict[str, str]:
    """fw_cfg name -> value; other keys of vm-data stay behind. Xen itself tells a guest its `name`."""
    names = {"opt/skinnybox/name": name} | {
        f"opt/skinnybox/{key.removeprefix(SEED_KEYS)}": value
        for key, value in xenstore_data.items()
        if key.startswith(SEED_KEYS)
    }
    for name in names:
        assert len(name) <= _LONGEST_NAME, f"QEMU takes at most {_LONGEST_NAME} characters: {name}"
    return names


def argv(board: Board, *, monitor: int, report: int) -> list[str]:
    """`monitor` and `report` are descriptors of connected sockets."""
    # fmt: off
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "qemu64,-svm",
        "-name", f"guest={board.name}"[:100].replace(",", " "), "-uuid", board.uuid,
        "-smp", str(board.cpus), "-m", f"{board.memory >> 20}M",
        # A domain that reboots is a new domain: the emulator starts it anew.
        "-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown",
        *(["-S"] if board.paused else []),
        *_firmware(board),
        *[word for drive in board.drives for word in _drive(drive, uefi=board.uefi)],
        *[word for number, card in enumerate(board.cards) for word in _card(number, card, board.folder)],
        *[word for each in board.seed.items() for word in _told(*each)],
        "-serial", f"file:{board.folder / CONSOLE}",
        "-device", "virtio-rng-pci", "-device", "pvpanic", "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=report,fd={report}",
        "-device", f"virtserialport,chardev=report,name={REPORT_PORT}",
        "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
    ]
    # fmt: on


def _comma(path: Path) -> str:
    return str(path).replace(",", ",,")


def _told(name: str, file: Path) -> list[str]:
    return ["-fw_cfg", f"name={name},file={_comma(file)}"]


def _firmware(board: Board) -> list[str]:
    if not board.uefi:
        return ["-boot", "strict=on"]
    return [
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}",
        "-drive", f"if=pflash,unit=1,format=raw,file={_comma(board.folder / STORE)}",
    ]  # fmt: skip


def _drive(drive: Drive, *, uefi: bool) -> list[str]:
    """A BIOS never sees a read-only disk: on Xen it is not among the emulated ones."""
    node = f"drive{drive.place}"
    read_only = "on" if drive.read_only else "off"
    block = f"driver=raw,node-name={node},read-only={read_only},discard=unmap"
    block += f",file.driver=file,file.filename={_comma(drive.file)},file.locking=off"
    order = f",bootindex={drive.place + 1}" if uefi or drive.is_cd or not drive.read_only else ""
    if drive.is_cd:
        return ["-blockdev", block, "-device", f"ide-cd,drive={node}{order}"]
    serial = device_numbers.linux(drive.place)
    return ["-blockdev", block, "-device", f"virtio-blk-pci,drive={node},serial={serial}{order}"]


def attach_script(folder: Path, number: int) -> Path:
    """What QEMU calls with the name of the tap of this card."""
    return folder / f"attach-{number}"


def _card(number: int, card: Card, folder: Path) -> list[str]:
    network = f"user,id=net{number},restrict=on,ipv6=off"
    if card.bridge is not None:
        network = f"tap,id=net{number},script={_comma(attach_script(folder, number))},downscript=no"
    return ["-netdev", network, "-device", f"virtio-net-pci,netdev=net{number},mac={card.mac},romfile="]
