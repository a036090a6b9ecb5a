"""What a path is about, by where it lies: for people, who look for a changed setting and not for a path.

The first of the table that fits counts. It only sorts: nothing is hidden by it (see plain_boot).
"""

import re

from skinnybox.model.changes import Group

_HOME = rb"(?:root|home/[^/]+)"
_TABLE = (
    # Who there is, and who may come in or act as another.
    (
        Group.ACCOUNTS,
        rb"etc/(?:passwd|group|shadow|gshadow|subuid|subgid)-?|etc/sudoers(?:\.d(?:/.+)?)?|etc/doas\.conf|"
        + _HOME + rb"/\.ssh(?:/.+)?",
    ),
    # What package managers and their helpers note down.
    (
        Group.PACKAGES,
        rb"var/lib/(?:dpkg|rpm|ucf|pam|pacman)(?:/.+)?|(?:usr/)?lib/apk(?:/.+)?|usr/lib/sysimage/.+"
        rb"|var/lib/apt/extended_states|var/cache/debconf(?:/.+)?"
        rb"|var/lib/systemd/deb-systemd-(?:user-)?helper-[^/]+(?:/.+)?|etc/alternatives(?:/.+)?",
    ),
    # What starts by itself, at a boot or a time.
    (
        Group.SERVICES,
        rb"etc/systemd/(?:system|user)(?:[.-][^/]+)?(?:/.+)?"
        rb"|(?:usr/)?(?:local/)?lib/systemd/(?:system|user)(?:-[^/]+)?(?:/.+)?"
        rb"|etc/(?:init\.d|rc[0-6S]\.d|runlevels)(?:/.+)?|etc/(?:rc\.local|inittab|anacrontab|ld\.so\.preload)"
        rb"|etc/cron[^/]*(?:/.+)?|var/spool/(?:cron|at)(?:/.+)?|var/lib/systemd/linger(?:/.+)?|"
        + _HOME + rb"/\.config/(?:systemd|autostart)(?:/.+)?",
    ),
    # What is written all the time, or made again when it is missing.
    (
        Group.LOGS,
        rb"var/(?:log|cache|tmp|backups|crash|run|lock)(?:/.+)?|tmp(?:/.+)?|run(?:/.+)?|var/lib/apt/lists(?:/.+)?"
        rb"|var/lib/systemd/(?:timers|random-seed|timesync|coredump|catalog|rfkill|backlight)(?:/.+)?"
        rb"|var/lib/(?:logrotate|dhcp|dhcpcd|misc)(?:/.+)?|var/lib/man-db/auto-update|etc/ld\.so\.cache"
        rb"|(?:etc|usr/lib)/udev/hwdb\.bin|(?:.+/)?__pycache__(?:/[^/]+)?|(?:etc|var)/\.updated",
    ),
    (Group.CONFIGURATION, rb"etc(?:/.+)?|usr/local/etc(?:/.+)?"),
    (
        Group.DATA,
        rb"(?:srv|home|root|opt|mnt|media)(?:/.+)?|var/(?:lib|www|mail|spool|opt|local)(?:/.+)?",
    ),
)  # fmt: skip
_KNOWN = re.compile(b"|".join(b"(?P<%s>%s)" % (group.encode(), text) for group, text in _TABLE), re.DOTALL)


def group_of(path: bytes) -> Group:
    found = _KNOWN.fullmatch(path)
    return Group(found.lastgroup) if found is not None and found.lastgroup else Group.OTHER
