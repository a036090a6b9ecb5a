"""The stable forms: what programs read of machines, masters and the rest, in plain values.

Every front end shows these: `--format json` prints them, and whoever serves them over a network sends them.
Fields are only ever added. Sizes are bytes, times ISO 8601, and nothing is shortened for people: that is
rendering.
"""

from typing import TYPE_CHECKING, Any

from skinnybox.printable import printable_path

if TYPE_CHECKING:
    from skinnybox.errors import SkinnyboxError
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.events import Event
    from skinnybox.fleet.exporting import Exported
    from skinnybox.fleet.masters import Masters
    from skinnybox.fleet.plan.actions import Action
    from skinnybox.fleet.remote import Executed, Said
    from skinnybox.fleet.view import MachineView
    from skinnybox.issues import Check, Finding
    from skinnybox.model import Change, Instance, Master, Snapshot

Record = dict[str, Any]

_ORDER = (
    "name", "uuid", "state", "reason", "master", "master_id", "overlay", "overlay_used", "overlay_written",
    "allocation", "memory", "cpus", "address", "network", "bridge", "guest_addresses", "mac", "ssh_host_keys",
    "seed_generation", "dax", "kernel", "boot", "pid", "autostart", "created", "failed_units",
)  # fmt: skip
"""In the order in which they always were; what is new in the table comes behind them."""
_LATER = ("successor", "swap_on", "data_used", "macs", "inactive_units", "rebase_tasks", "trial")


def machine(view: "MachineView", successors: dict[str, str] | None = None) -> Record:
    """Everything that is known of it; `successors` as fleet.masters tells them."""
    from skinnybox.fleet import present_rebase
    from skinnybox.fleet.access import fingerprint
    from skinnybox.model import fields

    instance, report_ = view.instance, view.current_report
    values = {
        **fields.shown(instance),
        "state": str(view.condition),
        "reason": view.reason,
        "overlay_used": used(view),
        "overlay_written": view.written,
        "address": view.address,
        "guest_addresses": list(report_.addresses) if report_ else [],
        "mac": instance.mac,
        "ssh_host_keys": [fingerprint(key) for key in view.host_keys],
        "dax": report_.dax if report_ else None,
        "failed_units": list(view.failed_units),
        "kernel": report_.kernel if report_ else None,
        "boot": view.boot_seconds,
        "pid": view.status.pid if view.status else None,
        "created": instance.created.isoformat(timespec="seconds"),
        "successor": (successors or {}).get(instance.stack.master),
        "swap_on": report_.swap if report_ else None,
        "data_used": data_used(view),
        "macs": [instance.mac_of(number) for number in range(1 + len(instance.seed.nics))],
        "inactive_units": list(view.inactive_units),
        "rebase_tasks": present_rebase.tasks(view),
        "trial": present_rebase.trial(instance),
    }
    return {key: values[key] for key in dict.fromkeys((*_ORDER, *values))}


def machine_fields() -> tuple[str, ...]:
    """The names of all that `machine` tells, in its order."""
    from skinnybox.model import fields

    shown = (field.shown for field in fields.machine_fields() if field.shown)
    return tuple(dict.fromkeys((*_ORDER, *shown, *_LATER)))


def forwards(view: "MachineView") -> list[Record]:
    """Ports of this host that lead into it, from its next start on."""
    return [
        {
            "name": view.name,
            "state": str(view.condition),
            "address": forward.address,
            "port": forward.port,
            "guest_port": forward.to,
        }
        for forward in view.instance.forwards
    ]


def used(view: "MachineView") -> int | None:
    """As the guest sees it while it runs."""
    report_ = view.current_report
    if report_ is None or report_.overlay_size is None or report_.overlay_free is None:
        return None
    return report_.overlay_size - report_.overlay_free


def data_used(view: "MachineView") -> int | None:
    """The same of its data disk."""
    report_ = view.current_report
    if report_ is None or report_.data_size is None or report_.data_free is None:
        return None
    return report_.data_size - report_.data_free


def master(masters: "Masters", sealed: "Master") -> Record:
    image = sealed.images[0]
    return {
        "master": sealed.reference,
        "id": sealed.id,
        "os": sealed.os,
        "architecture": sealed.architecture,
        "kernel": sealed.kernel_version,
        "image": image.size,
        "image_kind": str(image.kind),
        "image_digest": image.digest,
        "image_uuid": str(image.uuid),
        "images": [
            {"kind": str(i.kind), "size": i.size, "digest": i.digest, "uuid": str(i.uuid), "file": i.file}
            for i in sealed.images
        ],
        "tree": sealed.tree_size,
        "entries": sealed.entries,
        "machines": masters.dependants(sealed),
        "created": sealed.created.isoformat(timespec="seconds"),
        "folder": str(masters.folder(sealed)),
        "placed": list(sealed.placed),
        "left_out": list(sealed.left_out),
        "made_from": sealed.made_from,
    }


def snapshot(view: "MachineView", kept: "Snapshot") -> Record:
    return {
        "name": view.name,
        "label": kept.label,
        "taken": kept.taken.isoformat("T", "seconds"),
        "consistent": str(kept.consistent),
        "overlay": kept.instance.overlay.size,
        "written": kept.written,
        "master": kept.instance.stack.reference,
        "good_for": good_for(view.instance, kept),
        "data": kept.instance.data.size if kept.data and kept.instance.data else None,
    }


def exported(name: str, made: "Exported") -> Record:
    return {
        "name": name,
        "id": str(made.id),
        "size": made.size,
        "members": made.members,
        "consistent": str(made.consistency),
        "digest": made.digest,
    }


def good_for(instance: "Instance", kept: "Snapshot") -> str:
    """Of a machine: `rollback` with what it was before its rebase; `restore`; or `another master`, with one
    that belongs to that, which nobody can put back."""
    if instance.trial is not None and instance.trial.kept == kept.label:
        return "rollback"
    return "restore" if kept.instance.stack.images == instance.stack.images else "another master"


def change(made: "Change") -> Record:
    """A path is escaped so that its bytes can be got back. `package` is null of what is of none that the
    machine has otherwise; `noise` says why a plain boot leaves it, null of all else."""
    return {
        "change": str(made.kind),
        "type": made.type,
        "size": made.size,
        "path": printable_path(b"/" + made.path),
        "detail": made.detail,
        "group": str(made.group),
        "package": made.package or None,
        "folded": made.folded,
        "noise": made.noise or None,
        "same": made.kind == "same",
    }


def event(happened: "Event") -> Record:
    return {
        "number": happened.number,
        "time": happened.time.isoformat(timespec="milliseconds"),
        "machine": happened.name,
        "uuid": str(happened.uuid),
        "event": str(happened.kind),
        "detail": happened.detail,
    }


def action(planned: "Action") -> Record:
    return {
        "action": str(planned.verb),
        "name": planned.name,
        "detail": detail(planned),
        "changes": [{"what": d.what, "before": d.before, "after": d.after} for d in planned.differences],
        "reason": planned.reason,
        "hint": planned.hint,
        "note": planned.note,
    }


def extra(name: str) -> Record:
    """A machine that the fleet's file does not have any more."""
    return {
        "action": "extra",
        "name": name,
        "detail": "not in the file any more; --prune deletes it",
        "changes": [],
        "reason": None,
        "hint": "--prune deletes it",
        "note": None,
    }


def detail(planned: "Action") -> str:
    from skinnybox.fleet.plan.actions import Verb
    from skinnybox.fleet.plan.descriptions import describe, summary

    if planned.verb in (Verb.CREATE, Verb.RECREATE) and planned.wanted:
        said = [summary(planned.wanted)]
    else:
        said = [", ".join(describe(difference) for difference in planned.differences)]
    return "; ".join(filter(None, [*said, planned.reason, planned.hint, planned.note]))


def issue(finding: "Finding", error: "SkinnyboxError | None" = None) -> Record:
    """What is to be done or, after it, what was; with the error it was not."""
    return {
        "deed": finding.deed.value,
        "path": str(finding.path),
        "what": finding.what,
        "error": error.message if error else None,
    }


def executed(outcome: "Outcome[Executed]") -> Record:
    """What came of a command in a machine. `exit_code` is null when `error` says why there is none. Of each
    stream `_encoding` says whether it is text, or base64 since its bytes are no UTF-8, and `_cut` how many
    bytes came after what is in it."""
    from skinnybox.fleet.remote import Executed

    value = outcome.value or Executed(code=None)
    error = outcome.error or value.error
    record: Record = {"name": outcome.name, "exit_code": value.code}
    record |= _stream("stdout", value.out) | _stream("stderr", value.err)
    return {**record, "error": error.message if error else None}


def _stream(key: str, said: "Said") -> Record:
    try:
        text, encoding = said.content.decode(), "utf-8"
    except UnicodeDecodeError:
        from base64 import b64encode

        text, encoding = b64encode(said.content).decode(), "base64"
    return {key: text, f"{key}_encoding": encoding, f"{key}_cut": said.cut}


def check(found: "Check") -> Record:
    return {"check": found.name, "status": found.status, "detail": found.detail, "hint": found.hint}
