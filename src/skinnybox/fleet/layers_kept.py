"""Who needs a layer: machines, their snapshots, and what they were before a rebase."""

from collections import defaultdict

from skinnybox.errors import Blocked
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.hosts.base import Host
from skinnybox.model import Instance, Layer


def dependants(catalog: Catalog) -> dict[str, list[str]]:
    """Of each layer that machines boot from, by its id, their names in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in catalog.rows():
        for identity in row.instance.stack.layer_ids:
            found[identity].append(row.instance.name)
    return {identity: sorted(names) for identity, names in found.items()}


def refuse_needed(layer: Layer, host: Host, catalog: Catalog) -> None:
    """Blocked. Corrupt where a snapshot cannot be read: nobody knows then what it needs."""
    names = dependants(catalog).get(layer.id, [])
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        what = f"{layer.reference} is a layer of {', '.join(names[:5])}{more}"
        raise Blocked(what, hint="delete those machines first")
    for row in catalog.rows():
        _refuse_kept(layer, row.instance, host)


def _refuse_kept(layer: Layer, instance: Instance, host: Host) -> None:
    name, trial = instance.name, instance.trial
    if trial is not None and layer.id in trial.before.layer_ids:
        raise Blocked(
            f"{layer.reference} is a layer of what {name} was before its rebase",
            hint=f"`skinnybox rebase {name} --commit` gives it up",
        )
    for kept in host.snapshots(instance):
        if layer.id in kept.instance.stack.layer_ids:
            raise Blocked(
                f"{layer.reference} is a layer of the snapshot {kept.label!r} of {name}",
                hint=f"skinnybox snapshot delete {kept.label} {name}",
            )
