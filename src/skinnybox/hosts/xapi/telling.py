"""Telling a machine through the pool, and knowing what we told it.

VM.xenstore_data is in two places: in xapi's database and, while the machine runs, in its own tree of
xenstore. `VM.add_to_` and `VM.remove_from_xenstore_data` reach the database alone; `VM.set_xenstore_data` is
handed on, to a machine that runs (ocaml/xapi/message_forwarding.ml of xapi-project/xen-api). And xapi writes
the live tree back over the record whenever it sees that change, or was itself started again
(ocaml/xapi/xapi_xenops.ml): what was only removed from the record comes back. So a running machine gets a
whole map, made of what the pool says that moment; one that is off, key by key.

That tree belongs to the guest: `vm-data` is made with its rights (ocaml/xenopsd/xc/domain.ml), and what it
writes there lands in its record. Nothing is decided by it. What we have to know of a start is in
other_config, where no guest can write; whether an overlay is blank, in that of the overlay.
"""

import re
from collections.abc import Mapping
from typing import Any

from skinnybox.hosts.xapi import maps, tags, xenstore_data
from skinnybox.hosts.xapi.guest_metrics import stamp_of
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.session import NULL
from skinnybox.model import Instance

TOLD = "xenstore_data"
_MOST_CALLS = 24
"""For one machine that is off: beyond that it gets a whole map as well, of what the pool says that moment. A
guest may have left thousands of keys, and each would be a call."""
_NONCE = re.compile(r"[0-9a-f]{32}")
_BEFORE = re.compile(rf"[0-9a-f]{{32}}|{xenstore_data.UNTOLD}")


def nonce_of(record: Mapping[str, Any]) -> str | None:
    """What a report of the guest has to repeat; UNTOLD where it was told none. None: there is no such report.

    Of those that we gave it, as other_config has them: the last; or the one before, while the machine still
    has that or none. We may have been killed between noting a start and telling of it, and whoever starts
    the machine then starts it with that: it must not be `starting` for ever. A guest may choose between the
    two as well, but only for itself: a nonce tells the reports of two starts apart, and what a report says
    is the guest's word anyway. A machine of an earlier version has its nonce only where the guest can
    write."""
    last, _, before = _noted(record)
    held = record[TOLD].get(xenstore_data.NONCE, xenstore_data.UNTOLD)
    if last is None:
        return held if _BEFORE.fullmatch(held) else None
    return held if before and held in (before, xenstore_data.UNTOLD) else last


def started_of(record: Mapping[str, Any]) -> str | None:
    """When our last start began, ISO 8601; nobody has checked it."""
    return _noted(record)[1]


def _noted(record: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The nonce it was given last, when we started it last, and what it had before that start."""
    last, started, before = (*record["other_config"].get(tags.START, "").split(" "), "", "", "")[:3]
    if not _NONCE.fullmatch(last):
        return None, None, None
    return last, started or None, before if _BEFORE.fullmatch(before) else None


def said_before(pool: Pool, instance: Instance) -> str | None:
    """The nonce of the report that the pool shows of it, as of the last look. While the machine is off that
    stays, and is the word of a guest with the overlay that it had then."""
    found = pool.ours().get(instance.uuid)
    stamp = stamp_of(pool.things.get("VM_guest_metrics", found[1]["guest_metrics"])) if found else None
    return stamp.nonce if stamp else None


def unheard(found: Found) -> str | None:
    """The nonce that it got at its making or with its overlay, while no guest can have repeated it: as of
    that look nobody has started the machine, and no report is there."""
    record = found[1]
    last, started, _ = _noted(record)
    silent = record["guest_metrics"] == NULL and not record["last_booted_record"]
    return last if started is None and silent else None


def note_start(pool: Pool, found: Found, nonce: str, now: str) -> None:
    """Before the machine hears of it."""
    had = nonce_of(found[1])
    before = had if had and had != nonce else ""
    maps.give(pool, "VM", *found, maps.OTHER, tags.START, f"{nonce} {now} {before}".rstrip())


def tell_anew(pool: Pool, found: Found, told: Mapping[str, str], *, blank: bool) -> None:
    """Of an overlay that took another's place. The pool still shows what the guest said of the one before:
    with a fresh nonce, and none before it, that is not taken for the word of a guest that has formatted this
    one."""
    nonce = None
    if blank:
        nonce, started = xenstore_data.fresh_nonce(), started_of(found[1]) or ""
        maps.give(pool, "VM", *found, maps.OTHER, tags.START, f"{nonce} {started}".rstrip())
    tell(pool, found, told, nonce)


def is_news(found: Found, told: Mapping[str, str]) -> bool:
    """Whether the machine would be another than its record says, or might format an overlay that is in use,
    if it were started as it has been told. What a guest put there besides, or its nonce, does not matter."""
    held = found[1][TOLD]
    keys = {*told, xenstore_data.ORDER}
    return any(held.get(key) != told.get(key) for key in keys)


def tell(pool: Pool, found: Found, told: Mapping[str, str], nonce: str | None = None) -> None:
    """All that is ours of it becomes `told`, with the nonce of its last start, or this one; what others put
    there stays. No call when it is so, as of that look."""
    vm, record = found
    nonce = nonce or nonce_of(record)
    # The nonce first: an order to format that the guest obeys with another would never be taken back.
    wanted = {xenstore_data.NONCE: nonce, **told} if nonce and nonce != xenstore_data.UNTOLD else told
    held = record[TOLD]
    changed = [key for key, text in wanted.items() if held.get(key) != text]
    gone = [key for key in held if key.startswith(xenstore_data.PREFIX) and key not in wanted]
    if record["power_state"] == "Running" or 2 * len(changed) + len(gone) > _MOST_CALLS:
        if changed or gone:
            _tell_whole(pool, vm, wanted)
        return
    for key in gone:
        maps.drop(pool, "VM", vm, TOLD, key)
    for key in changed:
        maps.give(pool, "VM", vm, record, TOLD, key, wanted[key])


def _tell_whole(pool: Pool, vm: str, wanted: Mapping[str, str]) -> None:
    """What others wrote until a moment ago stays: between these two calls nobody can be kept out."""
    held = pool.call("VM.get_xenstore_data", vm)
    told = xenstore_data.merged(held, wanted)
    if told != held:
        pool.call("VM.set_xenstore_data", vm, told)


def take_back(pool: Pool, found: Found, key: str) -> None:
    """It is not told this any more, in either place."""
    vm, record = found
    if record["power_state"] != "Running":
        maps.drop(pool, "VM", vm, TOLD, key)
        return
    held = pool.call("VM.get_xenstore_data", vm)
    if key in held:
        pool.call("VM.set_xenstore_data", vm, {each: text for each, text in held.items() if each != key})
