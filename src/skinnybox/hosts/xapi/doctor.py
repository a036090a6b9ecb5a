"""Whether a pool is fit. Only looks: nothing in the pool is changed."""

import contextlib
from collections.abc import Callable, Iterator

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.xapi import build, drives, fleets, space, surroundings, tags
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.issues import Check
from skinnybox.masters import efi
from skinnybox.sizes import GIB, format_size

_OLDEST = 8
_OVERLAY, _MASTER = 1 * GIB, 8 * GIB
"""For which costs are shown."""


def check(pool: Pool) -> list[Check]:
    try:
        pool.things.refresh(anew=True)
    except SkinnyboxError as error:
        hint = error.hint or "is the address right, and the pool's master up?"
        return [Check(name="pool", status="fail", detail=error.message, hint=hint)]
    address = pool.address
    found = [Check(name="pool", status="ok", detail=f"{address.user} on {pool.sessions.host}")]
    if pool.sessions.scheme != "https" or address.insecure:
        hint = "?sha256=FINGERPRINT or ?ca=FILE"
        detail = "the connection proves nothing: whoever answers learns the password"
        found.append(Check(name="trust", status="warn", detail=detail, hint=hint))
    for name, look in _LOOKS.items():
        found.append(_checked(name, look, pool))
    found += drives.check_writers(pool)
    for name, several in surroundings.LOOKS.items():
        try:
            found += several(pool)
        except SkinnyboxError as error:
            found.append(_failed(name, error))
    with contextlib.suppress(SkinnyboxError):  # `fleet` has told that it cannot be said what is ours
        return [*found, *_copies(pool), *fleets.checks(pool.things, pool.identity.known())]
    return [*found, *fleets.checks(pool.things, None)]


def _checked(name: str, look: Callable[[Pool], Check], pool: Pool) -> Check:
    try:
        return look(pool)
    except SkinnyboxError as error:
        return _failed(name, error)


def _failed(name: str, error: SkinnyboxError) -> Check:
    return Check(name=name, status="fail", detail=error.message, hint=error.hint or "see the pool")


def _version(pool: Pool) -> Check:
    """UEFI firmware, which a read-only disk needs to be booted from, came with 8.0 of both."""
    said = {}
    for record in pool.call("host.get_all_records").values():
        version = record["software_version"]
        brand, number = version.get("product_brand", "?"), version.get("product_version", "0")
        said[f"{brand} {number}"] = int(number.partition(".")[0]) if number[:1].isdecimal() else 0
    detail = ", ".join(sorted(said))
    if min(said.values(), default=0) < _OLDEST:
        hint = "upgrade the pool: its machines boot by BIOS, which cannot see a read-only disk"
        return Check(name="version", status="fail", detail=f"{detail}: has no UEFI firmware", hint=hint)
    return Check(name="version", status="ok", detail=detail)


def _storage(pool: Pool) -> Check:
    reference, sr = pool.sr()
    devices = pool.devices(reference)
    cost = space.cost(sr, devices, _OVERLAY, _MASTER)
    thin = " and what is written" if space.is_thin(sr, devices) else ""
    detail = (
        f"{sr['name_label']} ({sr['type']}): an overlay of {format_size(_OVERLAY)} takes "
        f"{format_size(cost.each)}{thin}; a VDI.clone of a {format_size(_MASTER)} system would take "
        f"{format_size(cost.clone)}{thin}"
    )
    if sr["type"] not in space.FILES | space.VOLUMES | {space.LINSTOR}:
        return Check(name="storage", status="warn", detail=detail, hint="this type of SR was never tried")
    return Check(name="storage", status="ok", detail=detail)


def _network(pool: Pool) -> Check:
    return Check(name="network", status="ok", detail=str(pool.network(None)[1]["name_label"]))


def _template(pool: Pool) -> Check:
    name = pool.address.template
    if name is None:
        return Check(name="template", status="ok", detail="none: plain machines with UEFI firmware")
    _, record = pool.template(name)
    if record["HVM_boot_params"].get("firmware") != "uefi":
        hint = "choose one with UEFI firmware, or none"
        return Check(name="template", status="fail", detail=f"{name} boots by BIOS", hint=hint)
    signed = ", whose Secure Boot is off for our machines" if build.boots_signed(record["platform"]) else ""
    return Check(name="template", status="ok", detail=f"{name}{signed}")


def _fleet(pool: Pool) -> Check:
    own, count = pool.identity.known(), len(pool.ours())
    if own is None:
        return Check(name="fleet", status="ok", detail="no id yet: the first machine brings one")
    return Check(name="fleet", status="ok", detail=f"{own}: {count} machine{'s' * (count != 1)}")


def _programs(pool: Pool) -> Check:
    missing = efi.missing()
    if missing:
        hint = f"sudo apt install {' '.join(missing)}"
        return Check(name="programs", status="fail", detail="no master's disk can be made here", hint=hint)
    return Check(name="programs", status="ok", detail="a master's disk can be made here")


_LOOKS: dict[str, Callable[[Pool], Check]] = {
    "version": _version,
    "storage": _storage,
    "network": _network,
    "template": _template,
    "fleet": _fleet,
    "drives": drives.check,
    "programs": _programs,
}


def _copies(pool: Pool) -> Iterator[Check]:
    """Copies of our machines that somebody made by hand: they would write one overlay's bytes twice."""
    known = {reference for reference, _ in pool.ours().values()}
    for _, (reference, record) in pool.machines():
        if reference not in known:
            detail = f"{record['name_label']} ({record['uuid']}) is a copy that Skinnybox does not know"
            hint = f"delete it, or take the mark off: other_config {tags.INSTANCE}"
            yield Check(name="copies", status="warn", detail=detail, hint=hint)
    for _, record in pool.things.where("VDI", is_a_snapshot=True):
        if tags.digest_of(record):
            detail = f"a snapshot of the shared disk {record['name_label']} ({record['uuid']})"
            hint = (
                "delete it: each makes that disk slower for all machines; who takes snapshots leaves out "
                "what has [NOBAK] in its name"
            )
            yield Check(name="copies", status="warn", detail=detail, hint=hint)
