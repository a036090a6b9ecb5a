"""One pool as everything here sees it: its calls, its records, and which of them are ours."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

from skinnybox import private
from skinnybox.errors import Conflict, NotFound, UsageError, of_system
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.address import Address
from skinnybox.hosts.xapi.cache import PoolCache, Record
from skinnybox.hosts.xapi.identity import Identity
from skinnybox.hosts.xapi.session import NULL, Sessions
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.tasks import Begun
from skinnybox.model import DiskKind, Instance

TAKE_MARK_OFF = f"delete it in the pool, or take {tags.INSTANCE} off its other_config"
"""What to do with a copy that somebody made of what is ours."""
WORK = "work-"
"""How the folders begin that commands work in."""
_MACHINES = ("VM", "VM_guest_metrics")
_OTHERS = ("VM_metrics", "VDI", "SR", "PBD", "network", "PIF", "pool")
Found = tuple[str, Record]
"""Reference and record."""
_ROLES = {DiskKind.OVERLAY: Role.OVERLAY, DiskKind.DATA: Role.DATA}
_Claim = tuple[tuple[int, bool], Found]
"""Of a disk to be the one that counts: its rank, and the disk."""


class Pool:
    """`folder` is for locks and for copies on their way, below the state folder."""

    def __init__(self, address: Address, password: Callable[[], str], state: Path, patience: float) -> None:
        self.address = address
        self.sessions = Sessions(address, password, patience=patience)
        self.call = self.sessions.call
        self.begun = Begun(self.sessions)
        self.things = PoolCache(self.sessions, _MACHINES, *_OTHERS)
        self.fresh: set[UUID] = set()
        """Whose overlay we made just now, so that no machine ever had it."""
        self.folder = state / "run" / "xapi"
        self.identity = Identity(state, self.folder, address.fleet, self.things)

    def may(self, method: str) -> bool:
        """Whether who is logged in has the right to call that: `VM.start`."""
        try:
            own = self.call("session.get_record", self.sessions.handle())
        except NotFound:  # it ended just now; the call itself will tell
            return True
        return bool(own["is_local_superuser"]) or method.lower() in own["rbac_permissions"]

    def ours(self) -> dict[UUID, Found]:
        """Every machine, as of the last look. Of copies somebody made of one, that with its name counts."""
        found: dict[UUID, Found] = {}
        for uuid, each in self.machines():
            if uuid not in found or (_has_its_name(each[1]) and not _has_its_name(found[uuid][1])):
                found[uuid] = each
        return found

    def machines(self) -> list[tuple[UUID, Found]]:
        """The same with copies."""
        own, real = self.identity.known(), self.things.where("VM", is_a_template=False, is_a_snapshot=False)
        return [(uuid, each) for each in sorted(real) if (uuid := tags.instance_for(own, each[1]))]

    def machine(self, uuid: UUID) -> Found | None:
        self.things.refresh()
        return self.ours().get(uuid)

    def refuse_names(self, names: Collection[str]) -> None:
        """Conflict when machines are called so that are nobody's of Skinnybox, nor made by its plugin, which
        refuses in the same way: who looks for one by its name must not find two. As of the last look."""
        wanted = set(names)
        real = self.things.where("VM", is_a_template=False, is_a_snapshot=False, is_control_domain=False)
        taken = {
            str(record["name_label"])
            for _, record in real
            if record["name_label"] in wanted and tags.instance_of(record) is None
        }
        if taken:
            said = ", ".join(sorted(taken)[:20])
            hint = "choose another name, or rename what is called so in the pool"
            raise Conflict(f"the pool has other machines of that name: {said}", hint=hint)

    def disks(self, uuid: UUID | None = None) -> list[Found]:
        """Of one machine, or of all machines: as of the last look."""
        own = self.identity.known()
        return [
            (reference, record)
            for reference, record in self.things.all("VDI")
            if (of := tags.instance_for(own, record)) is not None and uuid in (None, of)
        ]

    def overlays(self) -> dict[UUID, Found]:
        """The one of each machine that counts, as of the last look."""
        return self.own_disks(DiskKind.OVERLAY)

    def data_disks(self) -> dict[UUID, Found]:
        """The same, of those that have one."""
        return self.own_disks(DiskKind.DATA)

    def own_disks(self, kind: DiskKind) -> dict[UUID, Found]:
        return {uuid: found[0][1] for uuid, found in self._claims(kind).items()}

    def _claims(self, kind: DiskKind) -> dict[UUID, list[_Claim]]:
        """The disks that bear the marks of each machine's disk of that kind, the best claim first: the
        newest, and of copies that somebody made, which bear the same marks, the one that the machine has
        attached."""
        found: dict[UUID, list[_Claim]] = {}
        ours = self.ours()
        for reference, record in self.disks():
            uuid = tags.instance_of(record)
            if uuid and tags.role_of(record) == _ROLES[kind] and not record["is_a_snapshot"]:
                attached = ours[uuid][1]["VBDs"] if uuid in ours else ()
                rank = -tags.generation_of(record), set(attached).isdisjoint(record["VBDs"])
                found.setdefault(uuid, []).append((rank, (reference, record)))
        for claims in found.values():
            claims.sort(key=lambda claim: (claim[0], claim[1][0]))
        return found

    def overlay(self, instance: Instance, kind: DiskKind = DiskKind.OVERLAY) -> Found:
        """Its disk of that kind. NotFound when there is none, Conflict when nobody can say which it is."""
        self.things.refresh()
        claims = self._claims(kind).get(instance.uuid, [])
        what = "overlay" if kind is DiskKind.OVERLAY else "data disk"
        if not claims:
            raise NotFound(f"{instance.name} has no {what} in this pool", hint="`skinnybox repair`")
        rank, found = claims[0]
        rivals = [record["uuid"] for other, (_, record) in claims if other == rank]
        if len(rivals) > 1:
            said = f"{instance.name} has {len(rivals)} {what}s in this pool: {', '.join(rivals)}"
            raise Conflict(said, hint=f"which is the copy? {TAKE_MARK_OFF}")
        return found

    def refuse_running(self, instance: Instance) -> None:
        """As it is now, not as it was a moment ago."""
        self.things.refresh(anew=True)
        found = self.ours().get(instance.uuid)
        if found and found[1]["power_state"] == "Suspended":
            hint = f"resume it in the pool and stop it then, or: skinnybox kill {instance.name}"
            raise Conflict(f"{instance.name} is suspended in the pool", hint=hint)
        if found and found[1]["power_state"] != "Halted":
            raise Conflict(f"{instance.name} runs", hint="stop it first")

    def devices(self, sr: str) -> list[Record]:
        """The device_config of an SR on every host, as of the last look."""
        return [record["device_config"] for _, record in self.things.all("PBD") if record["SR"] == sr]

    def is_everywhere(self, sr: str) -> bool:
        """Whether every host has this SR, also one that is off: as of the last look."""
        links = [(record["host"], record["SR"]) for _, record in self.things.all("PBD")]
        return {host for host, _ in links} == {host for host, of in links if of == sr}

    def sr(self) -> Found:
        """As of the last look."""
        chosen = self.address.sr
        if chosen is None:
            default = next((record["default_SR"] for _, record in self.things.all("pool")), NULL)
            record = self.things.get("SR", default)
            if record is None:
                raise NotFound("the pool has no default SR", hint="choose one: ?sr=NAME")
            return default, record
        return self._named("SR", chosen)

    def network(self, name: str | None) -> Found:
        """`name`, or the chosen one, or the pool's management network: as of the last look. Without one, the
        only network with a way out. NotFound when there are several: bonds and VLANs are called as cards are,
        so no name tells which of them leads where machines should be."""
        chosen = name or self.address.network
        if chosen is not None:
            return self._named("network", chosen)
        outward = [each for each in self.things.all("network") if each[1]["PIFs"]]
        managing = {record["network"] for _, record in self.things.all("PIF") if record["management"]}
        found = [each for each in outward if each[0] in managing] or outward
        if len(found) != 1:
            names = ", ".join(sorted(record["name_label"] for _, record in found)[:20])
            several = f"several networks with a way out, and none is its management network: {names}"
            what = several if found else "no network with a way out"
            raise NotFound(f"the pool has {what}", hint="choose one: ?network=NAME")
        return found[0]

    def template(self, name: str) -> Found:
        """As of the last look."""
        return _chosen(
            "template", name, list(self.things.where("VM", is_a_template=True, is_a_snapshot=False))
        )

    def _named(self, of: str, name: str) -> Found:
        return _chosen(of, name, self.things.all(of))

    def destroy(self, of: str, reference: str) -> None:
        """Gone already is fine."""
        with contextlib.suppress(NotFound):
            self.call(f"{of}.destroy", reference)

    def destroy_disk(self, reference: str, record: Record) -> None:
        """With what is left of its attachments. Conflict while it is in use."""
        for vbd in record["VBDs"]:
            self.destroy("VBD", vbd)
        self.destroy("VDI", reference)

    @contextmanager
    def exclusive(self, name: str, what: str) -> Iterator[None]:
        """No other command on this machine has the lock of that name. Does not wait: Conflict."""
        private.make_folder(self.folder)
        lock = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise Conflict(f"another command works on {what}", hint="wait until it has ended") from error
        finally:
            os.close(lock)

    @contextmanager
    def exclusive_disks(self, instance: Instance, only: DiskKind | None = None) -> Iterator[None]:
        """The same for all disks of a machine; or, to read it, for one: a command may read several."""
        own = (DiskKind.OVERLAY, DiskKind.DATA) if instance.data is not None else (DiskKind.OVERLAY,)
        with ExitStack() as held:
            for kind in own if only is None else (only,):
                name = str(instance.uuid) if kind is DiskKind.OVERLAY else f"{instance.uuid}.data"
                what = "overlay" if kind is DiskKind.OVERLAY else "data disk"
                held.enter_context(self.exclusive(name, f"the {what} of {instance.name}"))
            yield

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A private folder, gone in the end."""
        private.make_folder(self.folder)
        try:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=WORK) as folder:
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX)  # tells `repair` that somebody lives in it
                    yield Path(folder)
                finally:
                    os.close(lock)
        except OSError as error:
            raise of_system(error, str(self.folder)) from error


def _has_its_name(machine: Record) -> bool:
    """Whether it is called in the pool what its record calls it."""
    instance = tags.readable_instance(machine)
    return instance is not None and instance.name == machine["name_label"]


def _chosen(of: str, name: str, among: list[Found]) -> Found:
    """By name or UUID. NotFound, or UsageError for one of several."""
    found = [each for each in among if name in (each[1]["uuid"], each[1]["name_label"])]
    if not found:
        known = ", ".join(sorted(record["name_label"] for _, record in among)[:20])
        raise NotFound(f"the pool has no {of} {name!r}", hint=f"it has {known}")
    if len(found) > 1:
        raise UsageError(f"the pool has several {of}s named {name!r}", hint="give the UUID")
    return found[0]
