"""VM.revert: back to a snapshot, as ocaml/xapi/xapi_vm_snapshot.ml of xapi-project/xen-api e2ee48d does it.

Of the machine's disks those that the snapshot has are deleted, whoever else has them attached while it is
off; the others are left, detached. Then the snapshot's disks are cloned. (Newer storage managers turn the
disk itself back; a suspend image is not modelled, nor what becomes of the machine's fields.)
"""

import contextlib

from tests.emulators.xapi import copies, lifecycle, vdis
from tests.emulators.xapi.context import Call, implements
from tests.emulators.xapi.failure import Failure


@implements("VM.revert")
def revert(call: Call, snapshot: str) -> None:
    database = call.database
    lifecycle.check(call.xapi, snapshot, "revert")
    vm = database.get("VM", snapshot, "snapshot_of")
    if not database.valid("VM", vm):
        raise Failure("NOT_IMPLEMENTED", "VM.revert to a snapshot of a machine that is gone")
    lifecycle.check(call.xapi, vm, "reverting")
    with call.operation("VM", vm, "reverting"):
        kept = _disks(call, snapshot)
        theirs = {database.get("VDI", vdi, "snapshot_of") for vdi in kept.values()}
        for vbd, vdi in _disks(call, vm).items():
            database.destroy("VBD", vbd)
            if vdi in theirs:
                with contextlib.suppress(Failure):
                    vdis.destroy(call, vdi)
        for vbd, vdi in kept.items():
            copies.attach(call.xapi, vm, vbd, vdis.branch(call, vdi, snapshot=False))
    lifecycle.refresh(call.xapi, vm, devices=True)


def _disks(call: Call, vm: str) -> dict[str, str]:
    """VBD -> VDI of all that are no CD."""
    drives = {vbd: call.database.record("VBD", vbd) for vbd in call.database.get("VM", vm, "VBDs")}
    return {vbd: each["VDI"] for vbd, each in drives.items() if each["type"] == "Disk" and not each["empty"]}
