"""The lines of a seed that say how the guest's system is set up: who is on it, and where it stands.

Strict here: a guest cannot ask back, and what it refuses, it refuses by not starting."""

import re
from collections.abc import Iterator

from skinnybox.errors import UsageError
from skinnybox.model import Seed, SeedUser
from skinnybox.printable import quoted, short
from skinnybox.wire import Line

_NAME = r"[a-z_][a-z0-9_-]{0,31}"
"""What the useradd of every family takes."""
_SHELL = r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._+-]{1,64}){1,8}"
_PASSWORD = r"\$[0-9a-z]{1,8}\$[A-Za-z0-9./$=,_-]{8,400}"
"""As crypt(5) makes them. A colon or a line break in one would be another field of /etc/shadow."""
_ZONE = r"[A-Za-z][A-Za-z0-9_+-]{0,39}(?:/[A-Za-z0-9][A-Za-z0-9_+-]{0,39}){0,3}"
"""A path below zoneinfo: no part of it has a dot."""
_LOCALE = r"(?:C|POSIX|[a-z]{2,3}(?:_[A-Z]{2})?)(?:\.[A-Za-z0-9-]{1,16})?(?:@[a-z]{1,16})?"
_SERVER = (r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
                     r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?")  # fmt: skip
MOST_SERVERS = 16


def lines(seed: Seed, ssh_user: str) -> Iterator[Line]:
    """Only what is asked for, users first: whose keys come after them may be one of them. UsageError."""
    names = [user.name for user in seed.users]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"there are two users {short(min(twice))}")
    for user in seed.users:
        yield _user(user, seed.authorized_keys if user.name == ssh_user else ())
    if seed.timezone is not None:
        _fits(_ZONE, seed.timezone, "a time zone", "as in Europe/Berlin")
        yield Line("timezone", seed.timezone)
    if seed.locale is not None:
        _fits(_LOCALE, seed.locale, "a locale", "as in de_DE.UTF-8")
        yield Line("locale", seed.locale)
    if seed.ntp:
        yield _servers(seed.ntp)


def check_user(user: SeedUser) -> None:
    """UsageError for what no guest could make of it."""
    _user(user, ())


def _user(user: SeedUser, others: tuple[str, ...]) -> Line:
    """`others` are the keys of a line of their own, which renews what this one wrote: so it has both."""
    _fits(_NAME, user.name, "a user's name", "lower case letters, digits, _ and -, at most 32")
    words = [user.name]
    for group in user.groups:
        _fits(_NAME, group, "a group's name", "lower case letters, digits, _ and -, at most 32")
    if user.groups:
        words += ["groups", ",".join(dict.fromkeys(user.groups))]
    if user.sudo:
        words += ["sudo", "yes"]
    if user.shell is not None:
        _fits(_SHELL, user.shell, "a shell", "its absolute path in the guest")
        words += ["shell", user.shell]
    if user.password_hash is not None:
        if not re.fullmatch(_PASSWORD, user.password_hash):  # which is not repeated: it may be a password
            raise UsageError(
                f"the password_hash of {user.name} is none", hint="as `mkpasswd -m yescrypt` prints it"
            )
        words += ["password", user.password_hash]
    keys = () if others else user.authorized_keys
    check_keys(keys)
    return Line("user", " ".join(words), "".join(f"{key}\n" for key in keys).encode() if keys else None)


def keys_of(seed: Seed, ssh_user: str) -> tuple[str, ...]:
    """Who the machine's keys let in may be one of its users, with keys of its own: one file has them all."""
    own = [key for user in seed.users if user.name == ssh_user for key in user.authorized_keys]
    return tuple(dict.fromkeys((*seed.authorized_keys, *own))) if seed.authorized_keys else ()


def check_keys(keys: tuple[str, ...]) -> None:
    for key in keys:
        if not (key.strip() and key.isprintable()):
            raise UsageError(f"{quoted(key)} is not one line of authorized_keys")


def _servers(servers: tuple[str, ...]) -> Line:
    import ipaddress  # takes 5 ms, and few machines are told their time servers

    for server in servers:
        if not re.fullmatch(_SERVER, server):
            try:
                ipaddress.IPv6Address(server.replace("%", " "))  # one of a single card is no server's
            except ValueError as error:
                raise UsageError(f"{quoted(server)} is not a server's name or address") from error
    if len(servers) > MOST_SERVERS:
        raise UsageError(f"{len(servers)} time servers", hint=f"at most {MOST_SERVERS}")
    return Line("ntp", " ".join(dict.fromkeys(servers)))


def _fits(pattern: str, text: str, what: str, hint: str) -> None:
    if not re.fullmatch(pattern, text):
        raise UsageError(f"{quoted(text)} is not {what}", hint=hint)
