"""Numbers of system accounts, split for ever: 100 to 399 are a master's, 400 to 999 a machine's own.

So a daemon that a machine installs never gets the number of one that the next version of its master brings.
"""

import re
from pathlib import Path

from skinnybox.masters import inside

MASTERS, MACHINES, PEOPLE = range(100, 400), range(400, 1000), range(1000, 60000)
_MOST = 1 << 20
# While a master is made the others are taken. No setting does that for all: systemd-sysusers of Debian 13
# reads no login.defs, and of sysusers.d, when a package calls it, that package's file alone; it counts down
# from 999.
_HELD = "skinnybox-held-"
HOLD = f"""\
cd "$1/etc"
for file in passwd group; do
    awk -F: -v first={MACHINES.start} -v last={MACHINES.stop - 1} -v file=$file '
        {{ used[$3] = 1 }}
        END {{
            for (n = first; n <= last; n++)
                if (!(n in used))
                    print "{_HELD}" n ":x:" n ":" (file == "passwd" ? n "::/:/usr/sbin/nologin" : "")
        }}' $file >$file.skinnybox
    cat $file.skinnybox >>$file
    rm $file.skinnybox
done"""
RELEASE = f"""\
cd "$1/etc"
for file in passwd group shadow gshadow; do
    [ ! -f $file ] || sed -i '/^{_HELD}/d' $file
done"""
# What useradd, groupadd and adduser say of such a number.
ASKED_FOR = re.compile(r"\b[UG]ID '?[4-9]\d\d'? (?:is not unique|already exists|is already in use)")
REFUSED = "400 to 999 are machines' own: give an account of a master a number from 100 to 399, or none\n"
# Of adduser, which counts up from there; of useradd, which goes on below the lowest that is taken.
_SETTINGS = (
    ("etc/adduser.conf", "FIRST_SYSTEM_UID", "="), ("etc/adduser.conf", "FIRST_SYSTEM_GID", "="),
    ("etc/login.defs", "SYS_UID_MIN", "\t\t"), ("etc/login.defs", "SYS_GID_MIN", "\t\t"),
)  # fmt: skip


def leave_to_machines(tree: Path) -> None:
    """Tell the programs in a private tree that make accounts to begin with a machine's numbers. Idempotent.

    systemd-sysusers, which reads neither of these, begins with 999."""
    for path, key, equals in _SETTINGS:
        text = inside.read(tree, path, _MOST + 1)
        if text is not None and len(text) <= _MOST:
            other = b"\n".join(_with_setting(text.split(b"\n"), key, equals))
            if other != text:
                inside.rewrite(tree, path, other)


def _with_setting(lines: list[bytes], key: str, equals: str) -> list[bytes]:
    """In the place of every line that sets it, else of the one that shows its default, else at the end."""
    wanted = f"{key}{equals}{MACHINES.start}".encode()
    form = re.compile(rb"(#?)\s*" + key.encode() + rb"(?:\s*=\s*|\s+)(\d{1,9})\s*")
    found = {number: match for number, line in enumerate(lines) if (match := form.fullmatch(line.strip()))}
    places = [number for number, match in found.items() if not match[1]] or list(found)[:1]
    for number in places:
        if found[number][1] or int(found[number][2]) < MACHINES.start:
            lines[number] = wanted
    if not places:
        lines.insert(len(lines) - (lines[-1] == b""), wanted)
    return lines
