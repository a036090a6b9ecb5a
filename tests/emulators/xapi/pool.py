"""An emulated pool that listens: what tests make, furnish, ask and break."""

import hashlib
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import XenAPI

import tests.emulators.xapi.implemented as implemented
from tests.emulators.xapi import certificate, furnish, guests, qemu_words, sessions, srs
from tests.emulators.xapi.call_log import CallLog
from tests.emulators.xapi.context import Options, Xapi
from tests.emulators.xapi.database import Database
from tests.emulators.xapi.faults import Faults
from tests.emulators.xapi.furnish import GIB
from tests.emulators.xapi.http_server import Server, port_everywhere
from tests.emulators.xapi.ssh import Ssh

PASSWORD = "emulated"


class EmulatedPool:
    """A pool of hosts at 127.0.0.1, 127.0.0.2, ...: the first is the master, all use the same two ports.

    It has roles, storage managers and control domains, the user root (PASSWORD), and nothing else until it
    is furnished. `boots`: VM.start starts QEMU. `guest` stands for the guest where nothing boots: called,
    under the pool's lock, with the Xapi and the reference of each machine that starts; `ssh` is theirs.
    `plugins` is the hosts' plugin folder; `python` runs plugins in place of what their first line names
    (e.g. "jython").
    """

    def __init__(
        self,
        *,
        hosts: Sequence[str] = ("alpha",),
        host_memory: int = 64 * GIB,
        boots: bool = False,
        guest: Callable[[Xapi, str], None] | None = None,
        plugins: Path | None = None,
        python: str | None = None,
        shutdown_timeout: float = 120.0,
        dynamic_memory: bool = True,
    ) -> None:
        assert implemented.CALLS
        self._stack = ExitStack()
        scratch = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="xapi-emulator-"))
        options = Options(
            boots=boots,
            shutdown_timeout=shutdown_timeout,
            dynamic_memory=dynamic_memory,
            plugins=plugins,
            python=python,
        )
        self.xapi = Xapi(options=options, scratch=Path(scratch))
        self.ssh = Ssh()
        self._stack.callback(self.ssh.close)
        if guest is not None:
            self.xapi.guest = lambda vm: guest(self.xapi, vm)
        addresses = list(certificate.ADDRESSES[: len(hosts)])
        self.hosts = furnish.begin(self.xapi, hosts, addresses, memory=host_memory)
        furnish.add_user(self.xapi, "root", PASSWORD, ())
        self.certificate, key = certificate.make(self.xapi.scratch)
        self._servers = self._listen(addresses, certificate.context(self.certificate, key))
        self.xapi.local_url = self.url

    def _listen(self, addresses: list[str], tls: ssl.SSLContext) -> list[Server]:
        servers = []
        for context in (None, tls):
            port = port_everywhere(addresses)
            for host, address in zip(self.hosts, addresses, strict=True):
                servers.append(Server(self.xapi, host, (address, port), context))
        return servers

    @property
    def url(self) -> str:
        """Plain HTTP, of the master."""
        return self.url_of(0)

    @property
    def tls_url(self) -> str:
        return self.url_of(0, tls=True)

    def url_of(self, number: int, *, tls: bool = False) -> str:
        """Of the n-th host, 0 the master."""
        server = self._servers[number + (len(self.hosts) if tls else 0)]
        return f"{'https' if tls else 'http'}://{server.address}:{server.port}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate.read_text())).hexdigest()

    @property
    def log(self) -> CallLog:
        return self.xapi.log

    @property
    def faults(self) -> Faults:
        return self.xapi.faults

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The records themselves, under the pool's lock: to look, or to change what no call changes."""
        with self.xapi.changed:
            yield self.xapi.database
            self.xapi.changed.notify_all()

    @contextmanager
    def session(self, name: str = "root", password: str = PASSWORD) -> Iterator[Any]:
        """The `xenapi` of a logged-in session of the official SDK."""
        session = XenAPI.Session(self.url)
        session.xenapi.login_with_password(name, password, "1.0", "tests")
        try:
            yield session.xenapi
        finally:
            session.xenapi.session.logout()
            session("close")()

    def add_sr(
        self,
        name: str,
        type: str = "ext",
        *,
        size: int = 100 * GIB,
        on: Sequence[int] | None = None,
        thin: bool | None = None,
        dirty: bool = False,
    ) -> str:
        """Storage on the hosts of these numbers (all); its reference. `thin` overrides what the type does;
        `dirty`: every new disk holds somebody's old bytes, not only raw ones on LVM."""
        with self.database():
            values: dict[str, Any] = {"sm_config": {}, "other_config": {}}
            device = {}
            if thin is not None and type == "linstor":
                device = {"provisioning": "thin" if thin else "thick"}
            elif thin is not None:
                values["sm_config"] = {"allocation": "thin" if thin else "thick"}
            if dirty:
                values["other_config"] = {"emulator-dirty": "true"}
            return furnish.add_sr(self.xapi, name, type, size, self._on(on), device, **values)

    def add_network(self, name: str, *, on: Sequence[int] | None = None, bridge: str | None = None) -> str:
        """Guests on it reach nobody, unless it is a `bridge` of this very machine."""
        with self.database():
            return furnish.add_network(self.xapi, name, self._on(on), bridge)

    def _on(self, numbers: Sequence[int] | None) -> list[str]:
        return self.hosts if numbers is None else [self.hosts[each] for each in numbers]

    def add_template(
        self,
        name: str,
        *,
        memory: int = 512 << 20,
        cpus: int = 1,
        uefi: bool = True,
        disk_size: int | None = None,
        default: bool = False,
    ) -> str:
        """HVM. With `disk_size` it orders a disk from VM.provision, as stock (`default`) ones do."""
        with self.database():
            return furnish.add_template(
                self.xapi, name, memory=memory, cpus=cpus, uefi=uefi, disk_size=disk_size, default=default
            )

    def add_user(self, name: str, password: str, *roles: str) -> None:
        """`roles` as xapi names them: pool-admin, vm-admin, read-only, ..."""
        with self.database():
            furnish.add_user(self.xapi, name, password, roles)

    def guest_writes(self, vm: str, keys: Mapping[str, str | None]) -> None:
        """A running guest writes to xenstore, or removes (None): shown with `data/updated` among the keys."""
        with self.database():
            guests.write(self.xapi, vm, keys)

    def guest_reads(self, vm: str) -> dict[str, str]:
        """vm-data of a running guest's own tree, which is not always what its record says."""
        with self.database():
            return guests.told(self.xapi, vm)

    def restart_toolstack(self) -> None:
        """As `xe-toolstack-restart` on every host: machines run on, and what they were told is read anew."""
        with self.database() as database:
            for vm, _ in database.where("VM", power_state="Running", is_control_domain=False):
                guests.write_back(self.xapi, vm)

    def file_of(self, vdi: str) -> Path:
        """The disk's bytes."""
        with self.database():
            return srs.path(self.xapi, vdi)

    def console_of(self, vm: str) -> bytes:
        """What a booted machine printed since its last start."""
        with self.database() as database:
            uuid = database.get("VM", vm, "uuid")
        return (self.xapi.scratch / f"run-{uuid}" / qemu_words.CONSOLE).read_bytes()

    def expire_sessions(self) -> None:
        """All of them, now."""
        with self.database():
            for ref in list(self.xapi.sessions):
                sessions.end(self.xapi, ref)

    def fail_over(self, number: int) -> None:
        """The master dies: its connections break, nobody listens there any more, its sessions are gone. The
        n-th host is the master from now on."""
        with self.database() as database:
            dead = database.get("pool", self.xapi.pool, "master")
            database.set("pool", self.xapi.pool, "master", self.hosts[number])
        self.expire_sessions()
        servers = [server for server in self._servers if server.host == dead]
        for server in servers:
            server.stop_listening()
        for server in servers:
            server.close()

    def close(self) -> None:
        """Every machine is killed, every connection and thread ended, every file deleted."""
        with self.xapi.changed:
            self.xapi.closing = True
            self.xapi.changed.notify_all()
            started = list(self.xapi.started)
        for machine in started:
            machine.kill()
        for server in self._servers:
            server.stop_listening()
        for server in self._servers:
            server.close()
        for machine in self.xapi.started:
            machine.kill()
            machine.join()
        self._stack.close()
        assert not self.xapi.bugs, "\n".join(["bugs of the emulator:", *self.xapi.bugs])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
