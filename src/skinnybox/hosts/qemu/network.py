"""How a machine reaches out and is reached.

passt      outbound through the host's own sockets; only when it was seen to keep the host's loopback closed
restricted QEMU's own network, which passes nothing but what comes in by the ssh port
open       QEMU's own network, in which 10.0.2.2 is the host's loopback: by explicit choice only
bridge     a tap on a bridge of the host (bridge.py): by explicit choice only
"""

import contextlib
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox import process, run
from skinnybox.emulation.verdicts import Verdict, cached, stamp
from skinnybox.errors import Conflict, Unsupported
from skinnybox.hosts import reach
from skinnybox.hosts.qemu import bridge
from skinnybox.model import Forward, Instance, Network, StaticNetwork

if TYPE_CHECKING:
    from socket import socket

_EXPERIMENTAL = 0x88B5
"""An ethertype that nobody is to understand (IEEE 802)."""


def verdict() -> Verdict:
    """Whether passt can serve here, tried once in each boot of this machine."""
    found = run.find("passt")
    if found is None:
        return Verdict(works=False, detail="passt is not installed", hint="sudo apt install passt")
    resolver = stamp(Path("/etc/resolv.conf"))

    def tried() -> Verdict:
        from skinnybox.hosts.qemu.passt_probe import probe

        return probe(_passt, _user_of_probe())

    return cached("passt", f"{stamp(found)} {resolver}", tried)


def _user_of_probe() -> int | None:
    """nobody, when we may choose."""
    return 65534 if os.geteuid() == 0 else None


def default() -> Network:
    return Network.PASST if verdict().works else Network.RESTRICTED


def choose(instance: Instance) -> Network:
    """What the instance asks for, or the best there is. Unsupported when it asks for what does not work."""
    if instance.network is None:
        return default()
    if instance.network is Network.BRIDGE:
        bridge.check(instance.bridge or "")
    if instance.network is Network.PASST and not (found := verdict()).works:
        raise Unsupported(
            f"{instance.name} wants passt: {found.detail}",
            hint=found.hint or "--network restricted (ssh only), or --network open",
        )
    return instance.network


def check_ports(instance: Instance) -> None:
    """Conflict when somebody has one of its ports already. Who comes between is found out by QEMU itself."""
    for way in () if instance.network is Network.BRIDGE else reach.ways_in(instance):
        _check_port(instance, way)


def _check_port(instance: Instance, way: Forward) -> None:
    import socket

    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((way.address, way.port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                hint = f"skinnybox forward {instance.name} --remove {way.port}"
                raise Conflict(f"{way.address} is no address of this host", hint=hint) from error
            if error.errno != errno.EADDRINUSE:
                raise Unsupported(f"port {way.port} cannot be used: {error.strerror}") from error
            raise in_use(instance, way) from error


def in_use(instance: Instance, way: Forward) -> Conflict:
    """Another program has the port."""
    is_ssh = way.port == instance.ssh_port
    other = "set NAME --ssh-port PORT" if is_ssh else f"forward {instance.name} --remove {way.port}"
    return Conflict(
        f"port {way.port} of {way.address} is in use by another program",
        hint=f"`ss -ltnp sport = :{way.port}` shows which; or `skinnybox {other}`",
    )


@contextlib.contextmanager
def stream(instance: Instance, user: int | None, output: int) -> "Iterator[socket]":
    """QEMU's end of a socket whose other end a fresh passt holds; it goes when QEMU does."""
    from socket import socketpair

    ours, theirs = socketpair()
    with ours, theirs:
        words = argv(theirs.fileno(), reach.ways_in(instance), instance.seed.network)
        ours.sendall(_introduction(instance.mac))
        process.remember(run.detach(words, output=output, pass_fds=[theirs.fileno()], user=user))
        theirs.close()
        yield ours


def _introduction(mac: str) -> bytes:
    """A frame that says nothing, led by its length, from the card the guest will have. passt sends to that
    of the last frame it saw, before the first to nobody; and a guest need not say anything by itself."""
    nobody, nothing = bytes(6), struct.pack("!H46x", _EXPERIMENTAL)
    frame = nobody + bytes.fromhex(mac.replace(":", "")) + nothing
    return struct.pack("!I", len(frame)) + frame


def _passt(descriptor: int, ssh_port: int | None, user: int | None, output: int) -> int:
    ways = [Forward(port=ssh_port, to=reach.SSH_PORT)] if ssh_port else []
    return run.detach(argv(descriptor, ways), output=output, pass_fds=[descriptor], user=user)


def argv(descriptor: int, ways: Sequence[Forward], static: StaticNetwork | None = None) -> list[str]:
    """passt sends the SYN of who comes in once, and never again: to the address it gave, until the guest has
    sent something from another one. So it is told of a static one."""
    forward = [word for way in ways for word in ("-t", f"{way.address}/{way.port}:{way.to}")]
    around = _around(static) if static else []
    return ["passt", "-f", "-q", "-4", "--no-map-gw", "-F", str(descriptor), "-u", "none", *around, *forward]


def _around(static: StaticNetwork) -> list[str]:
    """The network a static address says it is in. Without a gateway, who comes in comes from a neighbour: to
    anybody farther away the guest has no route."""
    import ipaddress

    own = ipaddress.ip_interface(next((a for a in static.addresses if ":" not in a), static.address))
    if own.version == 6 or own.ip.is_loopback or own.ip.is_multicast or own.ip.is_unspecified:
        return []
    others = (str(each) for each in own.network.hosts() if each != own.ip)
    gateway = next((way for way in static.gateways if ":" not in way), None) or next(others, None)
    words = ["-a", str(own.ip), "-n", str(own.network.prefixlen)]
    return [*words, "-g", gateway] if gateway else words
