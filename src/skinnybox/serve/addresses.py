"""Where the server listens: addresses of this computer, and the owner's socket."""

import errno
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import Conflict, SkinnyboxError, UsageError, of_system
from skinnybox.printable import quoted

PORT = 8470
_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_FORM = "ADDRESS:PORT, as 127.0.0.1:8470, 0.0.0.0:443 or [::1]:8470"


@dataclass(frozen=True, slots=True)
class Address:
    """One of TCP. `host` is an IP address."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only who is on this computer gets there."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def everywhere(self) -> bool:
        return ipaddress.ip_address(self.host).is_unspecified

    @property
    def name(self) -> str:
        """As a Host header has it, without the port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


DEFAULT = Address("127.0.0.1", PORT)


def parse_address(text: str) -> Address:
    """UsageError for what is none."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""  # without brackets nobody knows where it ends
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        found = None
    if found is None or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{quoted(text)} is no address to listen on", hint=_FORM)
    return Address(str(found), int(port))


def parse_name(text: str) -> str:
    """A name, or an address, by which a browser calls us: without scheme, port or path. UsageError."""
    name = text.lower().rstrip(".")
    if not (_NAME.fullmatch(name) or _is_address(name.removeprefix("[").removesuffix("]"))):
        raise UsageError(f"{quoted(text)} is no name of a host", hint="as boxes.example.org, without port")
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def parse_proxy(text: str) -> str:
    """The address, or network, that a proxy's connections come from. UsageError."""
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError as error:
        raise UsageError(f"{quoted(text)} is no address of a proxy", hint="as 127.0.0.1") from error


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def listening(address: Address) -> socket.socket:
    """Conflict when somebody listens there already; UsageError when it is no address of this computer."""
    found = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if found.family is socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((address.host, address.port))
        found.listen()
    except OSError as error:
        found.close()
        raise _refused(address, error) from error
    return found


def _refused(address: Address, error: OSError) -> SkinnyboxError:
    match error.errno:
        case errno.EADDRINUSE:
            hint = f"another server's, perhaps of another state folder: --listen 127.0.0.1:{address.port + 1}"
            return Conflict(f"somebody listens on {address} already", hint=hint)
        case errno.EADDRNOTAVAIL:
            return UsageError(
                f"{address.host} is no address of this computer", hint="`ip address` shows them"
            )
        case errno.EACCES if address.port < 1024:
            hint = "a port from 1024, or what the unit of `skinnybox serve --unit` may, as root"
            return SkinnyboxError(f"only root may listen on port {address.port}", hint=hint)
    return of_system(error, str(address))


@contextmanager
def owners_socket(path: Path) -> Iterator[socket.socket]:
    """A Unix socket that only this user opens, there during the block. What a killed server left in its place
    is removed; Conflict when somebody answers there, or it is no socket."""
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise of_system(error, str(path)) from error
    # Through the open folder, since the path of a socket may have 107 bytes, and a state folder's more.
    place = Path(f"/proc/self/fd/{folder}/{path.name}")
    try:
        with _bound(path, place) as found:
            mine = place.lstat().st_ino
            try:
                yield found
            finally:
                with suppress(OSError):
                    if place.lstat().st_ino == mine:
                        place.unlink()
    finally:
        os.close(folder)


def _bound(path: Path, place: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Never open to others, not even for a moment. The umask is of the process, and no thread works yet.
    before = os.umask(0o177)
    try:
        _make_room(path, place)
        found.bind(str(place))
        found.listen()
    except OSError as error:
        found.close()
        raise of_system(error, str(path)) from error
    except BaseException:
        found.close()
        raise
    finally:
        os.umask(before)
    return found


def _make_room(path: Path, place: Path) -> None:
    try:
        there = place.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise Conflict(f"{path} is no socket, and is left as it is", hint="another --socket, or move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as found:
        try:
            found.connect(str(place))
        except OSError:
            place.unlink()
            return
    raise Conflict(f"somebody answers at {path} already", hint="another --socket, or end that server first")
