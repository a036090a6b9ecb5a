"""A new seed for a stopped machine: what it made its own stays, and its guest applies the seed at the next
start. Where the host tells its guests their seeds, that is all; elsewhere the overlay is built anew beside
the old one, never written in place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from skinnybox.errors import Blocked, Unsupported
from skinnybox.fleet import data_disk, encrypted
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.hosts.base import Host
from skinnybox.model import Instance
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.journal import replay
from skinnybox.overlays.patch import check_fits, put_message
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.overlays.template import SEED_CAPACITY

_PAST_A_KILL = 2
"""A reset that was killed before it could record it has left the overlay one generation ahead."""


def reseed(
    host: Host,
    catalog: Catalog,
    instance: Instance,
    alter: Callable[[Instance], Instance],
    operation: Operation,
) -> Instance:
    """`alter` gives the machine, as it is now, its new seed in the old generation. Returns it as it is
    recorded then.

    Blocked when the overlay has no room for such a seed; NoSpace, with nothing touched, when the overlay does
    not fit twice for a moment. Killed between overlay and record, the next call takes a newer generation.
    """
    with leased(host, catalog, instance, Doing.RESEED) as held:
        wanted = alter(held.instance)
        held.hold(wanted)
        if _can_be_told(host, wanted):
            told = replace(wanted.seed, generation=wanted.seed.generation + _PAST_A_KILL)
            with data_disk.ensured(host, held, wanted, operation):
                return held.commit(replace(wanted, seed=told))
        renewed = _renewed(host, wanted, operation)
        with data_disk.ensured(host, held, renewed, operation, [renewed.overlay]):
            _write(host, renewed, operation)
            return held.commit(renewed)


def _renewed(host: Host, wanted: Instance, operation: Operation) -> Instance:
    """The machine with the generation in which its overlay is to have the seed. Blocked when it has no room
    for it, which is said before anything is made."""
    with host.open_overlay(wanted, operation) as overlay:
        generation = max(wanted.seed.generation, inspect.read_generation(overlay)) + 1
        renewed = replace(wanted, seed=replace(wanted.seed, generation=generation))
        with _no_room(wanted):
            check_fits(overlay, "seed", seed_message(renewed))
    return renewed


def _write(host: Host, renewed: Instance, operation: Operation) -> None:
    message = seed_message(renewed)

    def build(old: Path, new: Path) -> None:
        with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
            copy_data(source.fileno(), target.fileno(), operation)
        replay(new)
        put_message(new, "seed", message)

    with _no_room(renewed):
        host.rebuild_overlay(renewed, renewed.overlay.size, build, operation)


@contextmanager
def _no_room(instance: Instance) -> Iterator[None]:
    try:
        yield
    except Unsupported as error:
        hint = "--reset gives it an overlay with more; its delta is lost"
        raise Blocked(f"{instance.name}: {error.message}", hint=hint) from error


def _can_be_told(host: Host, wanted: Instance) -> bool:
    """Whether the host tells the guest, which takes the newest seed it finds anywhere, and keeps it where
    every overlay has a place for one. Blocked where it can do nothing else, and has too much to tell."""
    if encrypted.is_opaque(wanted):
        encrypted.refuse_longer(wanted, SEED_CAPACITY)
        return True
    seed = len(seed_message(wanted)) + encrypted.GROWTH
    return seed <= SEED_CAPACITY and seed + len(base_message(wanted)) <= host.features.tells
