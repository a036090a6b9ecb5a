"""Which pool is meant, as whom, and how it proves to be the one: `xapi://USER@POOL[:PORT][?KEY=VALUE&...]`.

    sr, network, template   by name or UUID; the pool's default SR, its first network and a plain UEFI machine
    ca                      a file of certificates to trust in place of the system's
    sha256                  the certificate's own fingerprint; several, with commas, for several hosts
    password-file           its first line is the password
    insecure=yes            believe whoever answers
    fleet                   the id of a state folder that was lost, whose machines this one takes up

A password is never part of it: other users of this machine see arguments.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

from skinnybox import named_file
from skinnybox.errors import NotFound, UsageError

SCHEME = "xapi"
PASSWORD, PASSWORD_FILE = "SKINNYBOX_XAPI_PASSWORD", "SKINNYBOX_XAPI_PASSWORD_FILE"
_KEYS = {"sr", "network", "template", "ca", "sha256", "password-file", "insecure", "fleet"}
_FINGERPRINT = re.compile("[0-9a-f]{64}")
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`url` is `https://HOST[:PORT]` of the pool's master or of any member; `pins` are hexadecimal."""

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
    timeout: float = 120.0


def parse(name: str) -> Address:
    """Raises UsageError."""
    try:
        parts = urlsplit(name)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{name!r} is no pool: {error}", hint="xapi://root@pool.example.org") from error
    if parts.password is not None:
        hint = f"leave it out: it is asked for, or read from {PASSWORD_FILE} or {PASSWORD}"
        raise UsageError("a password does not belong into a host's name", hint=hint)
    if parts.scheme != SCHEME or not parts.hostname or not parts.username or parts.path not in ("", "/"):
        raise UsageError(f"{name!r} is no pool", hint="xapi://USER@POOL, as in xapi://root@pool.example.org")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return _with(unquote(parts.username), f"https://{host}{f':{port}' if port else ''}", _query(parts.query))


def _query(text: str) -> dict[str, str]:
    found = dict(parse_qsl(text, keep_blank_values=True))
    unknown = sorted(set(found) - _KEYS)
    if unknown:
        raise UsageError(f"a pool has no setting {unknown[0]!r}", hint=f"one of {', '.join(sorted(_KEYS))}")
    return found


def _with(user: str, url: str, said: Mapping[str, str]) -> Address:
    pins = tuple(p.replace(":", "").lower() for p in said.get("sha256", "").split(",") if p)
    if not all(_FINGERPRINT.fullmatch(pin) for pin in pins):
        raise UsageError("a SHA-256 fingerprint has 64 hexadecimal digits")
    if said.get("insecure", "no") not in ("yes", "no"):
        raise UsageError("insecure is yes or no")
    return Address(
        user=user,
        url=url,
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
