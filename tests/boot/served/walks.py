"""How a guest sees its own files: a few lines of text for each path."""

import re
from collections import defaultdict

from skinnybox.fleet.service import Fleet
from tests.boot.served.conftest import told

_NOT = r"\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp \) -prune"
_FOLDERS = "bin boot etc home lib media opt root sbin srv usr var"
_WALK = rf"""
cd /
find . -xdev {_NOT} -o -printf '%p|%y|%m|%U|%G|%n|%l|%T@\n' | sort >/run/walk
find . -xdev {_NOT} -o -type f -printf '%p|%s bytes\n' | sort >>/run/walk
find . -xdev {_NOT} -o -type f -print0 | sort -z | xargs -0 sha256sum |
    sed -E 's/^([^ ]+)  (.*)/\2|\1/' >>/run/walk
find . -xdev {_NOT} -o \( -type b -o -type c \) -print0 | sort -z | xargs -0 -r stat -c '%n|%t:%T' >>/run/walk
getfattr -R -P -h -d -m - -e hex {_FOLDERS} 2>/dev/null |
    awk '/^# file: / {{ path = "./" substr($0, 9); next }} /./ {{ print path "|" $0 }}' >>/run/walk
cat /run/walk
"""
_OF_EACH_START = re.compile(r"\./var/(?:log|tmp|backups|lib/(?:mysql|skinnybox|systemd|logrotate))(?:/.*)?")
Walk = dict[str, list[str]]


def walked(fleet: Fleet, name: str) -> tuple[Walk, int]:
    """By path: type, mode, owners, links, where a link leads, time, size, content, numbers of a device and
    attributes; and how many lines are of what each start writes, and are left out."""
    found, noise = defaultdict[str, list[str]](list), 0
    for line in told(fleet, name, _WALK).splitlines():
        path, _, rest = line.partition("|")
        if _OF_EACH_START.fullmatch(path):
            noise += 1
        else:
            found[path].append(rest)
    return dict(found), noise


def compare(before: Walk, after: Walk) -> None:
    differs = {
        path: (before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    }
    assert differs == {}
