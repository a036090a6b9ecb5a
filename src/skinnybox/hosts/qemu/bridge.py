"""A machine's own tap on a bridge of this host, by ioctl; needs the right to change the network.

The tap lives as long as a descriptor of it is open: when QEMU ends, it is gone. Layouts: linux/if.h (struct
ifreq), linux/if_tun.h, linux/sockios.h.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import Conflict, NotFound, SkinnyboxError, Unsupported
from skinnybox.model import Instance

_TUN = Path("/dev/net/tun")
_NETWORKS = Path("/sys/class/net")
_CAP_NET_ADMIN = 12
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_UP = 0x0002, 0x1000, 0x4000, 0x0001
_SIOCSIFFLAGS, _SIOCSIFMTU, _SIOCSIFHWADDR, _SIOCBRADDIF = 0x8914, 0x8922, 0x8924, 0x89A2
_ARPHRD_ETHER = 1
_NAME = 16


def may() -> bool:
    """Whether we may put a tap on a bridge."""
    return bool(_capabilities() >> _CAP_NET_ADMIN & 1) and os.access(_TUN, os.R_OK | os.W_OK)


def bridges() -> frozenset[str]:
    """Those of this host."""
    with contextlib.suppress(OSError):
        return frozenset(path.parent.name for path in _NETWORKS.glob("*/bridge"))
    return frozenset()


def check(name: str) -> None:
    """Unsupported without the right to use a bridge, NotFound when there is none of this name."""
    if not may():
        raise Unsupported(
            f"a tap on the bridge {name} needs the right to change this host's network",
            hint="run it as root (CAP_NET_ADMIN and /dev/net/tun), or leave --bridge out",
        )
    if name not in bridges():
        known = ", ".join(sorted(bridges())) or "none"
        raise NotFound(
            f"this host has no bridge {name!r}", hint=f"it has {known}; `ip link add {name} type bridge`"
        )


def tap_name(instance: Instance, number: int = 0) -> str:
    """Of this card; at most 15 characters, the same at every start."""
    return f"sk{instance.uuid.hex[:11]}-{number}" if number else f"sk{instance.uuid.hex[:12]}"


@contextlib.contextmanager
def tap(instance: Instance, bridge: str, number: int = 0) -> Iterator[int]:
    """A descriptor of the tap of this card of a machine, up and on the bridge; without others open, gone
    after the block."""
    check(bridge)
    name = tap_name(instance, number)
    descriptor = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _attach(descriptor, name, bridge, instance.mac_of(number))
        yield descriptor
    finally:
        os.close(descriptor)


def _attach(descriptor: int, name: str, bridge: str, mac: str) -> None:
    import socket

    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, _request(name, "H", _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
        _speak_no_ipv6(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            mtu = int((_NETWORKS / bridge / "mtu").read_text())
            fcntl.ioctl(control, _SIOCSIFMTU, _request(name, "i", mtu))
            fcntl.ioctl(control, _SIOCSIFHWADDR, _hardware(name, mac))
            fcntl.ioctl(control, _SIOCBRADDIF, _request(bridge, "i", socket.if_nametoindex(name)))
            fcntl.ioctl(control, _SIOCSIFFLAGS, _request(name, "H", _IFF_UP))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Conflict(f"the tap {name} is in use", hint="the machine's last QEMU still ends") from error
        raise SkinnyboxError(f"the tap {name} cannot join {bridge}: {error.strerror}") from error


def _request(name: str, kind: str, value: int) -> bytes:
    """A struct ifreq with a name and one number."""
    return struct.pack(f"{_NAME}s{kind}", name.encode(), value).ljust(40, b"\0")


def _hardware(name: str, mac: str) -> bytes:
    """The machine's address but for a high first byte: a bridge takes the lowest of its ports' as its own."""
    address = bytes([0xFE, *bytes.fromhex(mac.replace(":", ""))[1:]])
    return struct.pack(f"{_NAME}sH6s", name.encode(), _ARPHRD_ETHER, address).ljust(40, b"\0")


def _speak_no_ipv6(name: str) -> None:
    """The host itself answers nobody on a tap, not even by a link-local address."""
    with contextlib.suppress(OSError):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
