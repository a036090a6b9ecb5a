"""Units of a tree with systemd, enabled and put away by the links that `systemctl` would make."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.fitting.own import HOME
from skinnybox.masters.guest_part import guest_folder

_OWN = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_PLACES = (_ETC, _OWN, "lib/systemd/system")
_PROGRAMS = ("usr/lib/systemd", "lib/systemd")
_MOST = 1 << 16
_REPORT, _REBASE = "skinnybox-report.service", "skinnybox-rebase.service"
_IDLE = {name: f"{_OWN}/{name}" for name in (_REPORT, _REBASE, "skinnybox-run-once.service")}
# These change what any system does: its patience with its networks, and whether its root is remounted.
# systemd reads such files in the order of their names, whichever folder they lie in, and what comes last
# counts: by this name an administrator's own come later, `override.conf` as well, of `systemctl edit`.
_DROP_IN = "10-skinnybox.conf"
_CHANGED = {
    "wait-online.conf": f"{_OWN}/systemd-networkd-wait-online.service.d",
    "remount.conf": f"{_OWN}/systemd-remount-fs.service.d",
}
_FILES = {name: f"{folder}/{_DROP_IN}" for name, folder in _CHANGED.items()}
_JOURNAL = "usr/lib/systemd/journald.conf.d"
_FORMER = tuple(f"{folder}/skinnybox.conf" for folder in (*_CHANGED.values(), _JOURNAL))
"""As they were called before protocol 3, and one that said for all machines how much of a journal is kept
(guest/lib/journal.sh): in trees that had a guest part before."""
_WANTED = (f"{_OWN}/multi-user.target.wants/{_REPORT}", f"{_OWN}/sysinit.target.wants/{_REBASE}")
_EMERGENCY = ("emergency", "rescue")
# What a machine of this kind has no use for: LVM snapshots to check, crash dumps in firmware, and drivers
# that would be loaded when first used anyway. Kept in /etc, where an administrator can undo it.
_DISABLED = ("e2scrub_reap.service", "e2scrub_all.timer", "systemd-pstore.service")
MASKED = ("configfs", "dm_mod", "drm", "efi_pstore", "fuse", "loop")
_PUT_AWAY = f"{HOME}/put-away"
"""A line for each of those that the tree had otherwise: `masked PATH`, `disabled PATH TARGET`. A flattened
machine, whose disk may lie anywhere, has them again (guest/appliance/inits)."""
_WORD = re.compile(r"[!-~]{1,4000}")
_DEEPEST = 8


def is_there(tree: Path, init: str) -> bool:
    """Also where no /sbin/init leads to it, as our initramfs finds it; and where that is a program that may
    be anything, which starts it most likely."""
    return init == "systemd" or (
        init in ("", "init") and any(inside.exists(tree, f"{place}/systemd") for place in _PROGRAMS)
    )


def fit(tree: Path) -> None:
    put_idle(tree)
    for former in _FORMER:
        inside.remove(tree, former)
    _put(tree, _FILES)
    if _has_networkd(tree) and not _uses_network_manager(tree):
        enable(tree, "systemd-networkd.service")
    _put_away(tree)


def remove(tree: Path) -> None:
    """But for what an administrator finds in /etc, which does nothing without systemd."""
    drop_ins = (f"{_OWN}/{unit}.service.d/skinnybox.conf" for unit in _EMERGENCY)
    shutdown = (f"{folder}/system-shutdown/skinnybox" for folder in _PROGRAMS)
    for path in (*_WANTED, *_IDLE.values(), *_FILES.values(), *_FORMER, *drop_ins, *shutdown):
        inside.remove(tree, path)


def put_idle(tree: Path) -> None:
    """What does nothing but in a thin machine."""
    _put(tree, _IDLE)
    for wanted in _WANTED:
        inside.link(tree, wanted, f"../{wanted.rpartition('/')[2]}")
    for unit in _EMERGENCY:
        _put(tree, {"emergency.conf": f"{_OWN}/{unit}.service.d/skinnybox.conf"})
    _put(tree, {"shutdown": f"{_shutdown_folder(tree)}/skinnybox"}, 0o755)


def _put(tree: Path, files: Mapping[str, str], mode: int = 0o644) -> None:
    for name, path in files.items():
        inside.put(tree, path, (guest_folder() / "systemd" / name).read_bytes(), mode)


def _shutdown_folder(tree: Path) -> str:
    """Where systemd looks, and nowhere else: beside its own programs, which Debian 11 has in a /lib that is a
    folder of its own. Of units and configuration it also reads those in /usr/lib."""
    return f"{'lib' if inside.is_folder(tree, 'lib') else 'usr/lib'}/systemd/system-shutdown"


def _has_networkd(tree: Path) -> bool:
    return any(inside.exists(tree, f"{place}/systemd-networkd") for place in _PROGRAMS)


def _uses_network_manager(tree: Path) -> bool:
    """Fedora's kin. guest/lib/network.sh decides by the same signs."""
    return inside.exists(tree, f"{_ETC}/multi-user.target.wants/NetworkManager.service") and not any(
        inside.exists(tree, path) for path in ("etc/network/interfaces", "etc/netplan")
    )


def enable(tree: Path, unit: str) -> None:
    """With what its file says goes along. A unit that is masked or missing is left so."""
    for each, path in _together(tree, unit, {}).items():
        for link in _links(tree, each, path):
            inside.link(tree, link, f"/{path}")


def _put_away(tree: Path) -> None:
    """Noted before it is done. What the administrator of the tree has of a name that is masked is left so."""
    wanted = [
        f"{_ETC}/{folder}/{unit}"
        for folder in inside.names(tree, _ETC)
        if folder.endswith((".wants", ".requires"))
        for unit in inside.names(tree, f"{_ETC}/{folder}")
        if unit in _DISABLED
    ]
    masks = [f"{_ETC}/modprobe@{name}.service" for name in MASKED]
    masks = [path for path in masks if not inside.exists(tree, path)]
    _note(tree, [*(f"masked {path}" for path in masks), *_disabled(tree, wanted)])
    for path in wanted:
        inside.remove(tree, path)
    for path in masks:
        inside.link(tree, path, "/dev/null")


def _disabled(tree: Path, links: list[str]) -> Iterator[str]:
    """None of what no line could say, which only a stranger's tree has."""
    for path in links:
        target = inside.link_target(tree, path) or ""
        if _WORD.fullmatch(path) and _WORD.fullmatch(target):
            yield f"disabled {path} {target}"


def _note(tree: Path, lines: list[str]) -> None:
    """Beside what an earlier fitting of this tree noted."""
    before = (inside.read(tree, _PUT_AWAY, _MOST) or b"").decode("ascii", "replace").splitlines()
    text = "".join(f"{line}\n" for line in dict.fromkeys((*before, *lines)))
    inside.put(tree, _PUT_AWAY, text.encode("ascii", "replace"))


def _together(tree: Path, unit: str, found: dict[str, str]) -> dict[str, str]:
    """The unit and those that are enabled with it (Also=), and where their files are."""
    path = next((f"{place}/{unit}" for place in _PLACES if inside.exists(tree, f"{place}/{unit}")), None)
    if path is None or unit in found or len(found) == _DEEPEST or inside.read(tree, path, 1) is None:
        return found
    found[unit] = path
    for also in _values(tree, path, "Also"):
        _together(tree, also, found)
    return found


def _links(tree: Path, unit: str, path: str) -> Iterator[str]:
    for key, folder in (("WantedBy", "wants"), ("RequiredBy", "requires")):
        for target in _values(tree, path, key):
            yield f"{_ETC}/{target}.{folder}/{unit}"
    for alias in _values(tree, path, "Alias"):
        yield f"{_ETC}/{alias}"


def _values(tree: Path, path: str, key: str) -> list[str]:
    """The words that are assigned to a key in [Install]; what could be no name of a unit is left out."""
    section, words = "", list[str]()
    for line in (inside.read(tree, path, _MOST) or b"").decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        elif section == "[Install]" and text.partition("=")[0].strip() == key:
            words += text.partition("=")[2].split()
    return [word for word in words if "/" not in word and not word.startswith(".")]
