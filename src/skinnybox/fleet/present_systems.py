"""The stable forms of what masters consist of, and of what differs between two (see present)."""

from typing import TYPE_CHECKING

from skinnybox.fleet.present import Record

if TYPE_CHECKING:
    from skinnybox.masters.system.compare import Difference
    from skinnybox.masters.system.values import System


def system(found: "System") -> Record:
    """`packages` is null where they are unknown; `trouble` says what could not be understood."""
    return {
        "release": dict(found.release),
        "manager": found.manager,
        "packages": packages(found),
        "users": [{"name": u.name, "uid": u.uid, "gid": u.gid} for u in found.accounts.users],
        "groups": [{"name": g.name, "gid": g.gid, "members": list(g.members)} for g in found.accounts.groups],
        "units": [{"name": unit.name, "wanted_by": list(unit.wanted_by)} for unit in found.units],
        "alternatives": [{"name": a.name, "mode": a.mode, "target": a.target} for a in found.alternatives],
        "diversions": [
            {"path": f"/{d.path}", "to": f"/{d.to}", "package": d.package} for d in found.diversions
        ],
        "trouble": list(found.trouble),
    }


def packages(found: "System") -> list[Record] | None:
    """Those whose files are there."""
    if found.packages is None:
        return None
    return [
        {"package": p.name, "version": p.version, "architecture": p.architecture, "status": p.status}
        for p in found.packages
        if p.present
    ]


def difference(found: "Difference") -> Record:
    """`files` of a package: how many differ. `package` of a file: whose it is, null for nobody's."""
    tally = found.files
    return {
        "what": found.what,
        "change": found.change,
        "name": found.name or None,
        "before": found.before,
        "after": found.after,
        "files": None
        if tally is None
        else {
            "added": tally.added,
            "removed": tally.removed,
            "modified": tally.modified,
            "metadata": tally.metadata,
        },
        "package": found.package,
    }
