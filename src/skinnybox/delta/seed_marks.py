"""Which of a machine's changes its seed brought, and not the machine itself."""

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from skinnybox.model import Change, Seed

SEED_PATHS = (
    b"etc/hostname",
    b"etc/hosts",
    b"etc/machine-id",
    b"etc/network/interfaces.d/skinnybox",
    b"etc/ssh/ssh_host_*",
    b"etc/systemd/network/10-skinnybox.network",
    b"etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service",
    b"home/*/.ssh/authorized_keys",
    b"root/.ssh/authorized_keys",
    b"run/skinnybox",
    b"var/lib/skinnybox",
    b"var/lib/skinnybox/*",
)
"""Patterns of what Skinnybox itself writes into a guest when it applies a seed."""


def seed_paths(seed: Seed) -> tuple[bytes, ...]:
    """SEED_PATHS, and the files that this very seed brings."""
    resolvers = (b"etc/resolv.conf",) if seed.network is not None and seed.network.dns else ()
    return (
        SEED_PATHS + resolvers + tuple(glob.escape(os.fsencode(file.path.strip("/"))) for file in seed.files)
    )


def marked(found: Iterable[Change], from_seed: Iterable[bytes], *, include_seed: bool) -> Iterator[Change]:
    """Those to `from_seed` marked "seed", or left out."""
    patterns = _matcher(from_seed)
    for change in found:
        if not patterns.fullmatch(change.path):
            yield change
        elif include_seed:
            yield replace(change, detail=f"{change.detail}, seed" if change.detail else "seed")


def _matcher(patterns: Iterable[bytes]) -> re.Pattern[bytes]:
    each = (os.fsencode(fnmatch.translate(os.fsdecode(pattern))) for pattern in patterns)
    return re.compile(b"|".join([b"(?!)", *each]))  # the first matches nothing, so that none may be given
