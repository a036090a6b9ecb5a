"""Packages for machines that reach nobody: fetched by this host's apt as a machine would, some made newer,
and put beside an index into a folder that apt takes for a repository."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from skinnybox import run

_NEWER = "+newer1"


def repository(folder: Path, status: bytes, new: Sequence[str], newer: Sequence[str]) -> None:
    """With `new` packages and what they need beside those of dpkg's `status`, and with upgrades of the
    `newer` ones, which are among these."""
    (folder / "partial").mkdir(parents=True)
    (folder / "status").write_bytes(status)
    places = [f"Dir::State::status={folder / 'status'}", f"Dir::Cache::archives={folder}"]
    words = [word for place in places for word in ("-o", place)]
    fetch = ["apt-get", "-y", "-d", "--no-install-recommends", *words, "install", *new]
    run.run(fetch, timeout=900, keep=run.FETCHING)
    if newer:
        run.run(["apt-get", "download", *newer], cwd=folder, timeout=900, keep=run.FETCHING)
    for name in newer:
        _make_newer(next(folder.glob(f"{name}_*.deb")))
    for extra in [path for path in folder.iterdir() if path.suffix != ".deb"]:  # locks and the like
        shutil.rmtree(extra) if extra.is_dir() else extra.unlink()
    index = b"\n".join(b"".join(_stanza(package)) for package in sorted(folder.glob("*.deb")))
    (folder / "Packages").write_bytes(index)
    folder.chmod(0o755)


def _stanza(package: Path) -> Iterator[bytes]:
    """As deb822 and the page on repositories of Debian's wiki have it."""
    yield run.run(["dpkg-deb", "-f", package]).stdout
    content = package.read_bytes()
    yield f"Filename: ./{package.name}\nSize: {len(content)}\n".encode()
    yield f"SHA256: {hashlib.sha256(content).hexdigest()}\n".encode()


def _make_newer(package: Path) -> None:
    """The next version in its place: its own settings and one more file have changed. Those of one source ask
    for one another's very version."""
    tree = package.with_suffix("")
    run.run(["dpkg-deb", "-R", package, tree])
    name, version = (
        run.run(["dpkg-deb", "-f", package, field]).stdout.decode().strip()
        for field in ("Package", "Version")
    )
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(version, version + _NEWER))
    added = f"usr/share/newer/{name}"
    (tree / added).parent.mkdir(parents=True, exist_ok=True)
    (tree / added).write_text(f"{name} {version}{_NEWER}\n")
    settings = tree / "DEBIAN" / "conffiles"
    for line in settings.read_text().split() if settings.exists() else ():
        with (tree / line.lstrip("/")).open("a") as file:
            file.write("# newer\n")
    with (tree / "DEBIAN" / "md5sums").open("a") as sums:
        digest = hashlib.md5((tree / added).read_bytes(), usedforsecurity=False).hexdigest()
        sums.write(f"{digest}  {added}\n")
    package.unlink()
    owners = [] if os.geteuid() == 0 else ["--root-owner-group"]
    run.run(["dpkg-deb", *owners, "-b", tree, package.with_name(f"{name}_newer.deb")], timeout=300)
    shutil.rmtree(tree)
