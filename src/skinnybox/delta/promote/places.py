"""Where a machine keeps what no master may have, by path alone: see choosing for the rest.

`masters.clean` takes part of this out of every tree that is sealed. What is named here beside that is of one
machine that has run; a tree that somebody imports may have it on purpose.
"""

import os
import re
from collections.abc import Sequence
from enum import StrEnum

from skinnybox.masters import clean


class Reason(StrEnum):
    """Why something of a machine's own does not go into a master, and the last of them into no layer."""

    IDENTITY = "identity"
    KEYS = "keys"
    LEASES = "leases"
    RANDOM = "random"
    NETWORK = "network"
    SEED = "seed"
    RUNTIME = "runtime"
    HISTORY = "history"
    LOGS = "logs"
    CACHES = "caches"
    TEMPORARY = "temporary"
    SWAP = "swap"
    ASKED = "asked"
    PACKAGES = "packages"
    ACCOUNTS = "accounts"
    SYSTEM = "system"
    DEVICE = "device"
    HIDING = "hiding"
    DELETION = "deletion"
    FOLDER = "folder"


Rules = Sequence[tuple[Reason, re.Pattern[bytes]]]


def _rules(*rows: tuple[Reason, bytes]) -> Rules:
    return [(reason, re.compile(pattern, re.DOTALL)) for reason, pattern in rows]


_CLEANED = _rules(
    (Reason.TEMPORARY, rb"(?:dev|proc|run|sys|tmp|var/tmp)/.*"),
    (Reason.LOGS, rb"var/(?:log|crash|lib/systemd/coredump)/.*"),
    (Reason.KEYS, rb"etc/ssh/.*|etc/dhcpcd\.secret|var/lib/systemd/credential\.secret"),
    (Reason.LEASES, rb"var/lib/(?:dhcp|dhclient|dhcpcd|dhcpv6|wicked|systemd/network)/.*|var/db/dhcpcd/.*"),
    (Reason.LEASES, rb"var/lib/NetworkManager/.*\.leases?|etc/dhcpcd\.duid"),
    (Reason.RANDOM, rb"var/lib/(?:systemd|urandom)/random-seed"),
    (Reason.KEYS, rb"var/lib/NetworkManager/secret_key"),
    (Reason.HISTORY, rb"root/\..*|var/lib/NetworkManager/.*"),
    (Reason.RUNTIME, rb"var/lib/(?:cloud|systemd/timers)/.*"),
    (Reason.IDENTITY, rb"etc/hostname|var/(?:lib|cache)/tailscale/.*|var/lib/zerotier-one/.*"),
    (Reason.IDENTITY, rb"etc/udev/.*|\.dockerenv|etc/machine-id|var/lib/dbus/machine-id"),
    (Reason.CACHES, rb".*"),
)
"""Of what `clean` takes out, the first that fits."""
_IDS = (b"etc/machine-id", b"var/lib/dbus/machine-id")
"""Which it makes anew."""

_PUPPET = rb"(?:var/lib/puppet|var/cache/puppet|opt/puppetlabs/puppet/cache)"
_PUPPETS = rb"(?:state|reports|client_data|client_yaml|clientbucket|yaml|facts|run)"
_PLACES = _rules(
    (Reason.IDENTITY, rb"etc/salt/minion_id"),
    (Reason.KEYS, rb"((?:etc/puppet|etc/puppetlabs/puppet|var/lib/puppet)/ssl)/.+"),
    (Reason.KEYS, rb"(etc/salt/pki/minion)/.+|etc/chef/client\.pem"),
    (Reason.RUNTIME, rb"(" + _PUPPET + rb"/" + _PUPPETS + rb")/.+"),
    (Reason.RUNTIME, rb"(var/lib/skinnybox)/.+|etc/systemd/system/[^/]+\.wants/skinnybox-run-once\.service"),
    (Reason.RUNTIME, rb"(var/lib/systemd/(?:timesync|rfkill|backlight))/.+"),
    (Reason.RUNTIME, rb"var/lib/(?:logrotate/status|logrotate\.status|apt/periodic/.+|apt/daily_lock)"),
    (Reason.LEASES, rb"var/lib/misc/[^/]+\.leases"),
    (Reason.HISTORY, rb"(?:.+/)?\.(?:[a-z0-9]+_history|lesshst|viminfo|wget-hsts)"),
    (Reason.CACHES, rb"((?:root|home/[^/]+)/\.cache)/.+"),
    (Reason.SWAP, rb"swapfile|swap\.img|swap"),
    (Reason.NETWORK, rb"etc/resolv\.conf"),
)  # fmt: skip


def cleaned(path: bytes) -> tuple[Reason, bytes] | None:
    """Of what every master is without, whoever made it: why, and the place at which that is counted."""
    place = os.fsdecode(path) if path in _IDS else clean.place_of(os.fsdecode(path))
    if place is None:
        return None
    reason = next(reason for reason, pattern in _CLEANED if pattern.fullmatch(path))
    return reason, os.fsencode(place)


def of_a_machine(path: bytes) -> tuple[Reason, bytes] | None:
    """The same of what a promoted one is without. `path` is one of something that is no folder."""
    for reason, pattern in _PLACES:
        if found := pattern.fullmatch(path):
            return reason, found[1] if found.lastindex else path
    return None


def is_log(path: bytes) -> bool:
    """Of one that stays there, empty."""
    return path.startswith(b"var/log/")
