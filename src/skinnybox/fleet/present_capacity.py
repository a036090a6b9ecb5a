"""The stable forms of what a disk, and a pool's stores, have room for: see present.py."""

from typing import TYPE_CHECKING

from skinnybox.fleet.present import Record

if TYPE_CHECKING:
    from skinnybox.fleet.capacity import Account
    from skinnybox.model import Storage


def capacity(account: "Account", machines: int) -> Record:
    """With what so many machines would take on each store, where that is not simply their size. `written`
    does not count what is reserved and was never written; `allocated` and `taken` do."""
    space = account.space
    record: Record = {
        "disk": space.total,
        "free": space.free,
        "masters": space.masters,
        "machines": space.instances,
        "promised": space.promised,
        "written": space.written,
        "snapshots": space.snapshots,
        "full_copies": account.full_copies,
        "taken": account.taken,
        "fit": account.fit,
        "fit_size": account.fit_size,
        "allocated": space.allocated,
        "owed": space.owed,
        "fit_sparse": account.fit_sparse,
        "sparse_each": account.sparse_each,
        "layers": space.layers,
    }
    if account.storages:
        record |= {
            "system": account.system,
            "storages": [storage(each, machines) for each in account.storages],
        }
    return record


def storage(store: "Storage", count: int) -> Record:
    """Bytes: of one more machine, and of `machines` of them."""
    return {
        "storage": store.name,
        "type": store.kind,
        "chosen": store.chosen,
        "estimate": store.guess,
        "total": store.total,
        "free": store.free,
        "machines": count,
        "each": store.each,
        "each_full": store.full,
        "take": count * store.each,
        "take_full": count * store.full,
        "clone": store.clone,
        "clone_full": store.clone_full,
        "clones_take": count * store.clone,
        "clones_take_full": count * store.clone_full,
    }
