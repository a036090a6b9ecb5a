"""Paths of which neither the machine's nor the master's copy is right, or which are no matter of either.

What is generated goes, and what makes it runs at the first start; what is a record is merged by what stands
in it; who the machine is stays; what its kernel would read does nothing.
"""

import re
from dataclasses import dataclass

from skinnybox.delta.rebase.values import FileClass

_TRIGGERS = "dpkg --triggers-only -a"


@dataclass(frozen=True, slots=True)
class Special:
    """`with_what` regenerates or merges it, in words."""

    kind: FileClass
    with_what: str


def _generated(pattern: bytes, with_what: str) -> tuple[re.Pattern[bytes], Special]:
    return re.compile(pattern, re.DOTALL), Special(FileClass.GENERATED, with_what)


def _record(pattern: bytes, with_what: str) -> tuple[re.Pattern[bytes], Special]:
    return re.compile(pattern, re.DOTALL), Special(FileClass.RECORD, with_what)


_USR = rb"(?:usr/)?"
_TABLE = (
    # Who the machine is. The guest part writes most of it from the seed.
    (
        re.compile(
            rb"etc/(?:hostname|hosts|machine-id|resolv\.conf|fstab|adjtime|ssh/ssh_host_[^/]+"
            rb"|network/interfaces(?:\.d/.+)?|netplan/.+|systemd/network/.+|NetworkManager/system-connections/.+)"
            rb"|var/lib/(?:dbus/machine-id|systemd/random-seed|systemd/credential\.secret|skinnybox/.+)"
        ),
        Special(FileClass.IDENTITY, "who the machine is"),
    ),
    (
        re.compile(
            rb"var/(?:log|backups|spool|mail|tmp|crash)/.+|var/lib/(?:logrotate|dhcp|chrony|ntpsec|misc)/.+"
            rb"|var/lib/systemd/(?:timers|timesync|coredump|rfkill|backlight)/.+|root/\.(?:bash_history|lesshst)",
            re.DOTALL,
        ),
        Special(FileClass.LOCAL, "what the machine tells of itself"),
    ),
    (
        re.compile(rb"(?:dev|proc|sys|run)/.+", re.DOTALL),
        Special(FileClass.INEFFECTIVE, "something is mounted over it"),
    ),
    (
        re.compile(
            rb"boot/.+|(?:usr/)?lib/modules/.+|(?:initrd\.img|vmlinuz)(?:\.old)?|var/lib/dkms/.+"
            rb"|etc/modprobe\.d/[^/]*dkms[^/]*|etc/initramfs-tools/.+|var/lib/initramfs-tools/.+",
            re.DOTALL,
        ),
        Special(FileClass.INEFFECTIVE, "machines boot their master's kernel, with its modules"),
    ),
    _record(rb"etc/(?:passwd|group|shadow|gshadow|subuid|subgid)-?", "by account"),
    _record(rb"var/lib/dpkg/(?:status|available)(?:-old)?", "by package"),
    _record(rb"var/lib/dpkg/(?:diversions|statoverride)(?:-old)?", "by path"),
    _record(rb"var/lib/dpkg/triggers/.+", "by trigger"),
    _record(rb"var/lib/dpkg/(?:lock(?:-frontend)?|updates/.*|cmethopt|arch|alternatives/\S+)", "by name"),
    _record(rb"etc/alternatives/[^/]+", "by name"),
    _record(rb"var/lib/apt/extended_states", "by package"),
    _record(rb"var/cache/debconf/[^/]+", "by question"),
    _record(rb"var/lib/ucf/(?:(?:hashfile|registry)[^/]*|cache/[^/]+)", "by path"),
    _generated(rb"(?:etc|var)/\.updated", "systemd's own updates at the first start"),
    _generated(
        rb"etc/ssl/certs/(?:ca-certificates\.crt|[0-9a-f]{8}\.\d+|java/cacerts)",
        "update-ca-certificates --fresh",
    ),
    _generated(rb"etc/ld\.so\.cache|var/cache/ldconfig/.+", "ldconfig"),
    _generated(rb"usr/lib/locale/locale-archive", "locale-gen"),
    _generated(
        rb"(?:etc|usr/lib)/udev/hwdb\.bin|var/lib/systemd/catalog/database",
        "systemd-hwdb update; journalctl --update-catalog",
    ),
    _generated(rb"usr/share/mime/(?:[^/]+|(?!packages/)[^/]+/[^/]+)", _TRIGGERS),
    _generated(
        rb"usr/share/(?:icons/.+/icon-theme\.cache|glib-2\.0/schemas/gschemas\.compiled"
        rb"|applications/mimeinfo\.cache|info/dir(?:\.old)?)",
        _TRIGGERS,
    ),
    _generated(
        _USR + rb"lib/[^/]+/(?:gdk-pixbuf-2\.0/[^/]+/loaders\.cache|gio/modules/giomodule\.cache)", _TRIGGERS
    ),
    _generated(_USR + rb"(?:lib|share)/(?:.+/)?__pycache__/[^/]+\.pyc", "py3compile"),
    _generated(
        rb"var/cache/(?:man/.+|fontconfig/.+|apt/[^/]+\.bin)|var/lib/apt/lists/.+", "made again when needed"
    ),
)  # fmt: skip


def special(path: bytes) -> Special | None:
    """What there is to say of a path that is no directory."""
    return next((what for pattern, what in _TABLE if pattern.fullmatch(path)), None)


INFO = b"var/lib/dpkg/info"
_INFO = re.compile(INFO + rb"/([^/]+)\.(?:[a-z0-9-]+)", re.DOTALL)


def of_info(path: bytes) -> str | None:
    """Which package, as its list is called, a file of dpkg's info is about. Not `format`, which is dpkg's."""
    found = _INFO.fullmatch(path)
    return found[1].decode("utf-8", "surrogateescape") if found else None
