"""Which pool is meant, as whom, and how it proves to be the one:
`xapi://USER@POOL[:PORT][,POOL[:PORT]...][?KEY=VALUE&...]`, of several members that which answers.

    sr, network, template   by name or UUID; the default SR, the management network, a plain UEFI machine
    ca                      a file of certificates to trust in place of the system's
    sha256                  the certificate's own fingerprint; several, with commas, for several hosts
    password-file           its first line is the password
    insecure=yes            believe whoever answers
    fleet                   the id of a state folder that was lost, whose machines this one takes up

A password is never part of it: other users of this machine see arguments.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from skinnybox import named_file
from skinnybox.errors import NotFound, UsageError

SCHEME = "xapi"
PASSWORD, PASSWORD_FILE = "SKINNYBOX_XAPI_PASSWORD", "SKINNYBOX_XAPI_PASSWORD_FILE"
_KEYS = {"sr", "network", "template", "ca", "sha256", "password-file", "insecure", "fleet"}
_FINGERPRINT = re.compile("[0-9a-f]{64}")
_NAME = re.compile(f"{SCHEME}://([^:/?#]+)(?::([^/?#]*))?@([^@/?#]+)/?(?:[?]([^#]*))?(?:#.*)?")
_HOST = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)(?:%(?:25)?([A-Za-z0-9._~-]+))?\]|([^\s\[\]:%]+))(?::([0-9]{1,5}))?"
)
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`url` is `https://HOST[:PORT]` of the pool's master or of any member, `others` the same of further
    ones, for when that does not answer; `pins` are hexadecimal."""

    user: str
    url: str
    sr: str | None = None
    network: str | None = None
    template: str | None = None
    ca: Path | None = None
    pins: tuple[str, ...] = ()
    insecure: bool = False
    password_file: Path | None = None
    fleet: UUID | None = None
    others: tuple[str, ...] = ()
    timeout: float = 120.0


def parse(name: str) -> Address:
    """Raises UsageError."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise UsageError(f"{name!r} is no pool", hint="xapi://USER@POOL, as in xapi://root@pool.example.org")
    user, password, hosts, query = parts.groups()
    if password is not None:
        hint = f"leave it out: it is asked for, or read from {PASSWORD_FILE} or {PASSWORD}"
        raise UsageError("a password does not belong into a host's name", hint=hint)
    urls = [_url(name, host) for host in hosts.split(",")]
    return _with(unquote(user), urls, _query(query or ""))


def _url(name: str, host: str) -> str:
    """An IPv6 address of the link has a zone, by which card it is reached here (%eth0, or as RFC 6874 has it
    %25eth0)."""
    found = _HOST.fullmatch(host)
    six, zone, plain, port = found.groups() if found else (None, None, None, None)
    try:
        if found is None or (port is not None and not 0 < int(port) < 1 << 16):
            raise ValueError(f"{host!r} is neither a name nor an address, with or without a port")
        if six is not None:
            plain = f"[{IPv6Address(six)}{f'%{zone}' if zone else ''}]"
    except ValueError as error:
        raise UsageError(f"{name!r} is no pool: {error}", hint="xapi://root@pool.example.org") from error
    return f"https://{plain if six else str(plain).lower()}{f':{port}' if port else ''}"


def _query(text: str) -> dict[str, str]:
    found = dict(parse_qsl(text, keep_blank_values=True))
    unknown = sorted(set(found) - _KEYS)
    if unknown:
        raise UsageError(f"a pool has no setting {unknown[0]!r}", hint=f"one of {', '.join(sorted(_KEYS))}")
    return found


def _with(user: str, urls: Sequence[str], said: Mapping[str, str]) -> Address:
    pins = tuple(p.replace(":", "").lower() for p in said.get("sha256", "").split(",") if p)
    if not all(_FINGERPRINT.fullmatch(pin) for pin in pins):
        raise UsageError("a SHA-256 fingerprint has 64 hexadecimal digits")
    if said.get("insecure", "no") not in ("yes", "no"):
        raise UsageError("insecure is yes or no")
    return Address(
        user=user,
        url=urls[0],
        others=tuple(dict.fromkeys(urls[1:])),
        sr=said.get("sr"),
        network=said.get("network"),
        template=said.get("template"),
        ca=_path("ca", said["ca"]) if "ca" in said else None,
        pins=pins,
        insecure=said.get("insecure") == "yes",
        password_file=_path("password-file", said["password-file"]) if "password-file" in said else None,
        fleet=_fleet(said["fleet"]) if "fleet" in said else None,
    )


def _path(key: str, text: str) -> Path:
    if not text:
        raise UsageError(f"{key} is the path of a file, and empty")
    return named_file.expanded(text)


def _fleet(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise UsageError(
            f"fleet={text} is no UUID", hint="`skinnybox doctor` shows those in the pool"
        ) from error


def password(address: Address, environment: Mapping[str, str]) -> str:
    """Of a file, of the environment, or asked for on the terminal. Raises UsageError when there is none."""
    file = address.password_file or environment.get(PASSWORD_FILE)
    if file:
        return _first_line(Path(file))
    if environment.get(PASSWORD):
        return environment[PASSWORD]
    if not sys.stdin.isatty():
        hint = f"set {PASSWORD_FILE}=FILE or {PASSWORD}, or run it on a terminal"
        raise UsageError(f"no password for {address.user} on {address.url}", hint=hint)
    import getpass

    return getpass.getpass(f"Password of {address.user} on {address.url}: ")


def _first_line(file: Path) -> str:
    try:
        return named_file.head(file, _LONGEST).decode().split("\n")[0].rstrip("\r")
    except FileNotFoundError as error:
        raise NotFound(f"there is no password file {file}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: no password can be read from it: {error}") from error
