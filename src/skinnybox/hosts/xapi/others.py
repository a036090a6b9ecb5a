"""What others do with our machines and their disks in the same pool, at the same time."""

from collections.abc import Callable, Iterator, Sequence

from skinnybox.errors import Conflict, NotFound
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import TAKE_MARK_OFF, Found, Pool
from skinnybox.hosts.xapi.session import NULL
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import DiskKind, Instance

_DETACH = "vbd-destroy"  # as xe calls it, and nobody here


def off(pool: Pool, instance: Instance) -> Callable[[], None]:
    """Conflict while it runs; and what is returned raises that when it has been started since, past us as
    well: what its guest wrote then must not be thrown away."""
    pool.refuse_running(instance)
    before = _last_start(pool, instance)

    def still_off() -> None:
        pool.things.refresh(anew=True)
        pool.refuse_running(instance)
        if _last_start(pool, instance) != before:
            what = f"somebody started {instance.name} meanwhile: its overlay stays as it is"
            raise Conflict(what, hint="try again")

    return still_off


def _last_start(pool: Pool, instance: Instance) -> tuple[str, str]:
    """As of the last look at the machine."""
    found = pool.ours().get(instance.uuid)
    if found is None or found[1]["metrics"] == NULL:
        return found[0] if found else "", ""
    return found[0], str(pool.call("VM_metrics.get_start_time", found[1]["metrics"]))


def refuse(pool: Pool, instance: Instance) -> None:
    """Conflict when its disks are another machine's as well, or somebody copied it or its overlay: nobody can
    say whether that is to go along. As of the last look."""
    machines = [record for uuid, (_, record) in pool.machines() if uuid == instance.uuid]
    if len(machines) > 1:
        said = ", ".join(f"{record['name_label']} ({record['uuid']})" for record in machines)
        raise Conflict(f"{instance.name} was copied in the pool: {said}", hint=f"the copy: {TAKE_MARK_OFF}")
    own = {vbd for record in machines for vbd in record["VBDs"]}
    for _, record in pool.disks(instance.uuid):
        for vbd in sorted(set(record["VBDs"]) - own):
            _refuse_drive(pool, vbd, record["name_label"])
    counting = [pool.own_disks(kind).get(instance.uuid) for kind in DiskKind]
    known = {disk[0] for disk in counting if disk}
    for reference, record in pool.disks(instance.uuid):
        whole = tags.role_of(record) in (Role.OVERLAY, Role.DATA) and not record["is_a_snapshot"]
        kept = tags.LABEL in record["other_config"]  # of before a rebase that was interrupted
        if known and whole and reference not in known and not kept:
            name = "overlay" if tags.role_of(record) == Role.OVERLAY else "data disk"
            what = f"{instance.name} has another {name} in the pool, perhaps a copy: {record['uuid']}"
            raise Conflict(what, hint=TAKE_MARK_OFF)


def _refuse_drive(pool: Pool, vbd: str, disk: str) -> None:
    """One of a host's own domain is what the pool itself needs for a moment, or left."""
    try:
        vm = pool.call("VBD.get_VM", vbd)
        if pool.call("VM.get_is_control_domain", vm):
            return
        name = pool.call("VM.get_name_label", vm)
        is_snapshot = pool.call("VM.get_is_a_snapshot", vm)
    except NotFound:
        return
    if is_snapshot:
        what = f"the pool has a snapshot {name!r} with {disk}: a backup's, or somebody's"
        raise Conflict(what, hint="delete that snapshot in the pool first; a backup job makes another")
    raise Conflict(f"{disk} is attached to the machine {name}", hint="detach it there first")


def _writers(pool: Pool, disks: Sequence[Found]) -> Iterator[tuple[Record, str, str]]:
    """Who may write shared disks: the drive, which disk's, and whose it is. A host's own domain has one only
    for a moment."""
    names = {reference: str(record["name_label"]) for reference, record in disks}
    those = " or ".join(f'field "VDI" = "{vdi}"' for vdi in names)
    for drive in pool.call("VBD.get_all_records_where", f'({those}) and field "mode" = "RW"').values():
        try:
            machine = pool.call("VM.get_record", drive["VM"])
        except NotFound:
            continue
        if not machine["is_control_domain"]:
            yield drive, names[drive["VDI"]], f"{machine['name_label']} ({machine['uuid']})"


def refuse_writers(pool: Pool, disks: Sequence[Found]) -> None:
    """Conflict while any machine may write to one of these masters or layers, whether it runs or not: all
    others boot from it."""
    for drive, name, machine in _writers(pool, disks) if disks else ():
        hint = (
            f"detach it there: xe {_DETACH} uuid={drive['uuid']}; if that machine ran with it, delete the "
            "disk too: the next start uploads it again"
        )
        raise Conflict(f"{name} is attached to {machine}, which may write to it", hint=hint)
