"""Trees with a database of dpkg that says what is in them; and what dpkg does to one, seen from its files."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from skinnybox.model import GUEST_PROTOCOL

INFO, STATUS = "var/lib/dpkg/info", "var/lib/dpkg/status"
Contents = Mapping[str, str]


def tree(root: Path, release: str = "12") -> Path:
    """A bare one, with /lib in /usr as Debian has it."""
    for folder in ("etc/systemd/system/multi-user.target.wants", INFO, "usr/lib/systemd/system", "usr/bin"):
        (root / folder).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/os-release").write_text(f'ID=debian\nVERSION_ID="{release}"\nPRETTY_NAME="Debian"\n')
    (root / STATUS).write_text("")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "usr/lib/skinnybox").mkdir()
    (root / "usr/lib/skinnybox/protocol").write_text(f"{GUEST_PROTOCOL}\n")
    return root


def install(
    root: Path, name: str, version: str, contents: Contents, *, conffiles: Contents | None = None
) -> None:
    """As dpkg leaves it: each file renamed into its place, the older version's others gone. Conffiles are not
    touched where they are."""
    before = set(_listed(root, name))
    remove(root, name, keep=True)
    every = {**contents, **(conffiles or {})}
    for path, text in contents.items():
        _place(root / path.lstrip("/"), text)
    for path, text in (conffiles or {}).items():
        if path not in before:
            _place(root / path.lstrip("/"), text)
    for path in before - set(every):
        (root / path.lstrip("/")).unlink(missing_ok=True)
    folders = {str(folder) for path in every for folder in Path(path).parents} - {"/"}
    _place(root / INFO / f"{name}.list", "/.\n" + "".join(f"{path}\n" for path in sorted({*folders, *every})))
    sums = "".join(f"{_md5(text)}  {path.lstrip('/')}\n" for path, text in contents.items())
    _place(root / INFO / f"{name}.md5sums", sums)
    told = "".join(f" {path} {_md5(text)}\n" for path, text in (conffiles or {}).items())
    stanza = f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
    stanza += f"Conffiles:\n{told}" if told else ""
    _place(root / STATUS, (root / STATUS).read_text() + stanza + "\n")


def remove(root: Path, name: str, *, keep: bool = False) -> None:
    """Purge it; with `keep` only what the database says of it."""
    stanzas = (root / STATUS).read_text().split("\n\n")
    _place(root / STATUS, "\n\n".join(s for s in stanzas if not s.startswith(f"Package: {name}\n")))
    if keep:
        return
    for path in _listed(root, name):
        place = root / path.lstrip("/")
        if not place.is_dir():
            place.unlink(missing_ok=True)
    for file in (root / INFO).glob(f"{name}.*"):
        file.unlink()


def hold(root: Path, name: str) -> None:
    text = (root / STATUS).read_text()
    head = f"Package: {name}\nStatus: "
    _place(root / STATUS, text.replace(f"{head}install ok", f"{head}hold ok"))


def enable(root: Path, unit: str) -> None:
    _place(root / f"usr/lib/systemd/system/{unit}", "[Service]\n")
    link = root / f"etc/systemd/system/multi-user.target.wants/{unit}"
    link.unlink(missing_ok=True)
    link.symlink_to(f"/usr/lib/systemd/system/{unit}")


def account(root: Path, name: str, number: int) -> None:
    for file, line in (
        ("passwd", f"{name}:x:{number}:{number}::/:/bin/false\n"),
        ("group", f"{name}:x:{number}:\n"),
    ):
        _place(root / "etc" / file, (root / "etc" / file).read_text() + line)


def _place(path: Path, text: str) -> None:
    """Folders that are new come by a rename, as dpkg and many others make them."""
    if not path.parent.exists():
        _folder(path.parent)
    part = path.with_name(path.name + ".dpkg-new")
    part.write_text(text)
    if path.exists():
        shutil.copymode(path, part)
    part.rename(path)


def _folder(path: Path) -> None:
    if not path.parent.exists():
        _folder(path.parent)
    part = path.with_name(path.name + ".dpkg-new")
    part.mkdir()
    part.rename(path)


def _listed(root: Path, name: str) -> list[str]:
    file = root / INFO / f"{name}.list"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if line != "/." and not (root / line.lstrip("/")).is_dir()]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
