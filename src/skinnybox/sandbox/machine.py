"""How QEMU shuts itself in before it is QEMU. Runs in the child.

This is for the day when a guest takes it over. As an ordinary user it would have all that user's files; as
root's it is a user of its own, and would still have what everybody may read, write and connect to. So it
opens its own parts and the images it was handed, and may write nothing that it was not handed open; its
signals reach nobody else. Its doors it was handed as sockets that listen already; of what it may make itself
there is as little as its network takes: with passt or a tap, which were handed over too, nothing. QEMU's own
filter (-sandbox) comes on top.

Started by root it has a root folder of its own as well, where the kernel lets us make one: what Landlock
leaves to be seen (whether a path is there, how large it is) is not there at all. Not so as an ordinary user:
that takes a user namespace, which opens more of the kernel than it closes of the files; only where there is
no Landlock it is the lesser evil. And no process ids of its own for either: a first process of a namespace
gets no signal it has not asked for, not even abort's, its pid would be another than the one that is recorded
and watched, and what it would hide, the filter denies.
"""

import os
import sys

from skinnybox.sandbox import jail, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

FAILED = "could not be confined: "
_DATA = ("qemu", "seabios", "ovmf", "OVMF", "edk2", "qemu-firmware")
_RESOLVERS = ("/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/connman")
"""Folders, not one file: what says which resolvers there are is replaced as this machine moves about."""


def run(words: list[str]) -> "NoReturn":
    """The first word says how (see confinement.machine_words), the rest is QEMU and what it is told. Where it
    is not shut in as it should be, it is not begun: the last word of its log says why."""
    orders, *program = words
    found = dict(word.split("=", 1) for word in orders.split(";"))
    try:
        said = _shut(found, program[0])
        if found["report"]:
            os.write(int(found["report"]), "\n".join([jail.REPORTED, *said, ""]).encode())
            os.close(int(found["report"]))
        libc.default_signals()
        os.execve(program[0], program, os.environ)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{program[0]} {FAILED}{jail.why(error)}\n")
        sys.stderr.flush()
        os._exit(jail.NOT_SHUT_IN)


def _shut(found: dict[str, str], program: str) -> list[str]:
    try:
        places = _places(found, program)
    except OSError:
        # A script that somebody put before QEMU: nobody knows what that opens, or starts.
        if found["weak"] != "1":
            raise
        libc.give_up_privileges()
        jail.limit(found["limits"])
        jail.become(found)
        return []
    return jail.shut(found, places, sockets=found["sockets"])


def _places(found: dict[str, str], program: str) -> list[jail.Place]:
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(program)))
    data = [f"{share}/{name}" for share in dict.fromkeys(("/usr/share", f"{prefix}/share")) for name in _DATA]
    folders = [*data, "/sys/devices/system", *(_RESOLVERS if found["resolves"] == "1" else ())]
    kvm: list[jail.Place] = [("/dev/kvm", "device")] if found["kvm"] == "1" else []
    return [
        *jail.of_program(program),
        *jail.handed(found["handed"]),
        *((folder, "read") for folder in folders),
        *kvm,
    ]
