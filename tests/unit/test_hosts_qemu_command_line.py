"""The whole command line of each kind of QEMU that we start, against the one in tests/data/command-lines.

Word by word a dropped `-nodefaults` or a `locking=off` too many is seen by nobody. Whoever changes a command
line on purpose changes the file with it, where a reviewer reads the difference: one option a line.
"""

import os
import re
import sys
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.appliance import appliance
from skinnybox.emulation import accelerator
from skinnybox.emulation.board import SANDBOX, TRANSLATED, Accelerator, trial_argv
from skinnybox.hosts.qemu import launch, network
from skinnybox.hosts.qemu.command_line import Descriptors, Machine, OpenImage, argv
from skinnybox.model import (
    Allocation,
    DataDisk,
    Encryption,
    Forward,
    Network,
    Nic,
    Overlay,
    Seed,
    StaticNetwork,
)
from skinnybox.sandbox.sockets import INTERNET, LISTENING, NO_SOCKETS
from skinnybox.sizes import GIB, MIB
from tests.samples import an_instance

FILES = Path(__file__).parents[1] / "data" / "command-lines"
_NUMBER = re.compile(r"(\bfd=|/proc/self/fd/|\bset=|/dev/fdset/|\bhanded=|:anew,)(\d+)")

INSTANCE = an_instance(
    uuid=uuid.UUID(int=7), overlay=Overlay(size=GIB), memory=384 * MIB, cpus=2, ssh_port=22001
)
MASTER, LAYER = OpenImage(descriptor=12, size=352 * MIB), OpenImage(descriptor=30, size=3 * MIB + 1)
OPENED = Descriptors(
    kernel=10, initrd=11, images=(MASTER,), overlay=13, console=14, report=15, qmp=16, events=17
)
PLAIN = Machine(
    instance=INSTANCE,
    nonce="ab",
    accelerator=Accelerator.TCG,
    network=Network.RESTRICTED,
    descriptors=OPENED,
)
TWO_IMAGES = replace(OPENED, images=(MASTER, LAYER))
MAPPED = replace(INSTANCE, stack=replace(INSTANCE.stack, dax=True))
STATIC = StaticNetwork(address="192.0.2.17/24", gateway="192.0.2.1", dns=("192.0.2.2",))
SIX_FIRST = StaticNetwork(
    address="2001:db8::17/64", gateway="fe80::1", also=("192.0.2.17/24",), other_gateway="192.0.2.1"
)
SEED = Seed(hostname="web-01", machine_id="0" * 32, network=STATIC)

MACHINES: dict[str, Machine] = {
    "plain": PLAIN,
    "kvm": replace(PLAIN, accelerator=Accelerator.KVM),
    "sparse": replace(
        PLAIN, instance=replace(INSTANCE, overlay=Overlay(size=GIB, allocation=Allocation.SPARSE))
    ),
    "data": replace(
        PLAIN,
        instance=replace(
            INSTANCE, data=DataDisk(size=2 * GIB, folders=("/data",), allocation=Allocation.SPARSE)
        ),
        descriptors=replace(OPENED, data=20),
    ),
    "encrypted": replace(
        PLAIN,
        instance=replace(INSTANCE, encrypt=Encryption(key_file="/etc/keys/web.key")),
        descriptors=replace(OPENED, firmware=(("key", 21), ("seed-0", 22))),
    ),
    "layers": replace(PLAIN, descriptors=TWO_IMAGES),
    "dax": replace(PLAIN, instance=MAPPED),
    "dax-layers": replace(PLAIN, instance=MAPPED, descriptors=TWO_IMAGES),
    "open": replace(PLAIN, network=Network.OPEN),
    "static": replace(PLAIN, instance=replace(INSTANCE, seed=SEED)),
    "no-port": replace(PLAIN, instance=replace(INSTANCE, ssh_port=None)),
    "passt": replace(PLAIN, network=Network.PASST, descriptors=replace(OPENED, stream=18)),
    "bridge": replace(PLAIN, network=Network.BRIDGE, descriptors=replace(OPENED, tap=19)),
    "cards": replace(
        PLAIN,
        instance=replace(INSTANCE, seed=replace(SEED, nics=(Nic(bridge="br1", vlan=7), Nic(manual=True)))),
        descriptors=replace(OPENED, more_taps=(20, None)),
    ),
    "both-families": replace(PLAIN, instance=replace(INSTANCE, seed=replace(SEED, network=SIX_FIRST))),
}


def by_lines(words: list[str]) -> str:
    """An option and its value on one line each."""
    lines: list[str] = []
    for word in words:
        if lines and " " not in lines[-1] and lines[-1].startswith("-") and not word.startswith("-"):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "".join(f"{line}\n" for line in lines)


def kept(name: str) -> str:
    return (FILES / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", MACHINES)
def test_the_command_line_of_a_machine(name: str) -> None:
    assert by_lines(argv(MACHINES[name])) == kept(name)


@pytest.mark.parametrize(
    ("name", "sockets", "ports"),
    [
        ("plain", LISTENING, "22001"), ("no-port", NO_SOCKETS, ""), ("open", INTERNET, ""),
        ("passt", NO_SOCKETS, ""), ("bridge", NO_SOCKETS, ""), ("cards", LISTENING, "22001"),
    ],
)  # fmt: skip
def test_a_machine_is_left_the_sockets_that_its_network_takes(name: str, sockets: str, ports: str) -> None:
    orders = orders_of(MACHINES[name])
    assert (orders["sockets"], orders["ports"]) == (sockets, ports)
    assert (orders["resolves"] == "1") == (sockets == INTERNET)
    assert orders["parent"] == "", "it outlives us"


def test_a_machine_may_listen_wherever_a_port_leads_into_it() -> None:
    led = (Forward(port=8080, to=80), Forward(address="192.0.2.7", port=8443, to=443))
    for ssh_port, ports in ((22001, "22001,8080,8443"), (None, "8080,8443")):
        orders = orders_of(replace(PLAIN, instance=replace(INSTANCE, ssh_port=ssh_port, forwards=led)))
        assert (orders["sockets"], orders["ports"]) == (LISTENING, ports)


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_opens_anew_what_its_command_line_names_by_a_path(name: str) -> None:
    orders, machine = orders_of(MACHINES[name]), MACHINES[name]
    by_path = set(re.findall(r"/proc/self/fd/(\d+)", " ".join(argv(machine))))
    read = {word.partition(":")[0] for word in orders["handed"].split(",")}
    assert by_path <= read and str(machine.descriptors.overlay) not in read
    assert (orders["kvm"] == "1") == (machine.accelerator is Accelerator.KVM)


def orders_of(machine: Machine) -> dict[str, str]:
    """What it is told of how to shut itself in; it never gets to a file."""
    null = os.open("/dev/null", os.O_RDONLY)
    data = None if machine.descriptors.data is None else null
    opened = replace(machine.descriptors, overlay=null, data=data)
    try:
        words = launch._bounded(replace(machine, descriptors=opened))
    finally:
        os.close(opened.overlay)
    return dict(word.split("=", 1) for word in words[6].split(";"))


def test_what_is_inherited_is_what_the_command_line_names() -> None:
    """One number too few and QEMU does not start; one too many and a guest that took it over has it."""
    for name, machine in MACHINES.items():
        line = " ".join(argv(machine))
        named = re.findall(r"(?:\bfd=|/proc/self/fd/|addr\.str=)(\d+)", line)
        assert sorted(machine.descriptors.inherited()) == sorted(map(int, named)), name


@pytest.mark.parametrize(("name", "user"), [("appliance", 4242), ("appliance-as-we-are", None)])
def test_the_command_line_of_the_small_machine(tmp_path: Path, name: str, user: int | None) -> None:
    words, passed = _of_an_appliance(tmp_path, user)
    numbers = {str(number): f"FD{place}" for place, number in enumerate(passed)}
    assert words[0] == sys.executable and Path(words[5], "skinnybox", "sandbox", "machine.py").exists()
    orders = f"root={int(os.geteuid() == 0)};parent={os.getpid()}"
    told = words[6].replace(orders, "root=IF-WE-ARE;parent=OUR-PID")
    words = ["PYTHON", *words[1:5], "PACKAGES", told, Path(words[7]).name, *words[8:]]
    line = re.sub(_NUMBER, lambda found: found[1] + numbers[found[2]], by_lines(words))
    assert line == kept(name)


def _of_an_appliance(folder: Path, user: int | None) -> tuple[list[str], list[int]]:
    files = {name: folder / name for name in ("kernel", "initrd", "from", "to")}
    for path in files.values():
        path.touch()
    wanted = appliance.Appliance(
        kernel=files["kernel"],
        initrd=files["initrd"],
        program=b"",
        files={},
        words="flatten=1",
        disks=(
            appliance.Disk(serial="from", file=files["from"], offset=MIB, size=2 * MIB),
            appliance.Disk(serial="to", file=files["to"], writable=True),
        ),
        user=user,
        seconds=1,
    )
    with ExitStack() as opened:
        return appliance._words(wanted, Accelerator.TCG, wanted.initrd, opened)


def test_on_kvm_the_small_machine_may_open_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "groups", lambda: (104,))
    wanted = appliance.Appliance(
        kernel=Path("/dev/null"), initrd=Path(), program=b"", files={}, words="", disks=(), user=9, seconds=1
    )
    with ExitStack() as opened:
        made = {}
        for chosen in Accelerator:
            words, _ = appliance._words(wanted, chosen, Path("/dev/null"), opened)
            orders = dict(word.split("=", 1) for word in words[6].split(";"))
            made[chosen] = (orders["user"], orders["groups"], orders["kvm"])
    assert made == {Accelerator.KVM: ("9", "104", "1"), Accelerator.TCG: ("9", "", "0")}


def test_what_is_translated_is_bounded_for_all_three(tmp_path: Path) -> None:
    """QEMU's own bound is 1 GiB, which every guest comes to fill."""
    machine = argv(MACHINES["plain"])
    small, _ = _of_an_appliance(tmp_path, None)
    tried = trial_argv(Accelerator.TCG, 2, kernel=10, initrd=11)
    for words in (machine, small, tried):
        assert words[words.index("-accel") + 1] == f"tcg,thread=multi,tb-size={TRANSLATED // MIB}"
    native = argv(replace(PLAIN, accelerator=Accelerator.KVM))
    assert native[native.index("-accel") + 1] == "kvm"


def test_no_kernel_checks_an_emulated_timer(tmp_path: Path) -> None:
    """On a busy host one machine in ten panicked: its timer had not ticked often enough meanwhile."""
    small, _ = _of_an_appliance(tmp_path, None)
    for words in (argv(MACHINES["plain"]), small, trial_argv(Accelerator.TCG, 2, kernel=10, initrd=11)):
        assert "no_timer_check" in words[words.index("-append") + 1].split()
    for words in (argv(MACHINES["kvm"]), trial_argv(Accelerator.KVM, 2, kernel=10, initrd=11)):
        assert "no_timer_check" not in words[words.index("-append") + 1].split()


def test_the_command_lines_of_passt() -> None:
    assert by_lines(network.argv(5, [Forward(port=22001, to=22)])) == kept("passt-itself")
    assert by_lines(network.argv(5, ())) == kept("passt-itself").replace("-t 127.0.0.1/22001:22\n", "")


def test_the_sandbox_leaves_nothing_out() -> None:
    """All that QEMU's manual has for -sandbox, each denied; a newer QEMU's further words belong here."""
    assert dict(word.split("=") for word in SANDBOX.split(",")[1:]) == dict.fromkeys(
        ("obsolete", "elevateprivileges", "spawn", "resourcecontrol"), "deny"
    )
    assert SANDBOX.startswith("on,")
