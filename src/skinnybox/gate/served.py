"""What one server serves, as every route gets it."""

from dataclasses import dataclass, field
from secrets import token_bytes
from typing import cast

from starlette.requests import HTTPConnection

from skinnybox.fleet.service import Fleet
from skinnybox.gate.rates import Failures

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """`hosts` are the names by which it may be called, without ports, lower case: any other is somebody's
    page that made its own name lead here (DNS rebinding). `key` signs what browsers keep; `secure`: browsers
    reach it by TLS."""

    fleet: Fleet
    hosts: frozenset[str] = LOOPBACK
    key: bytes = field(default_factory=lambda: token_bytes(32))
    secure: bool = False
    failures: Failures = field(default_factory=Failures)


def served(connection: HTTPConnection) -> Served:
    return cast(Served, connection.app.state.served)


def fleet_of(connection: HTTPConnection) -> Fleet:
    return served(connection).fleet
