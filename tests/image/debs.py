"""Small packages of Debian's form, for tests of what becomes of them."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def deb(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    control: Mapping[str, str] | None = None,
    conffiles: tuple[str, ...] = (),
) -> Path:
    """`files` by path without leading slash; those in a `bin` can be run. `control` are files of dpkg's: the
    maintainer's scripts, triggers, templates."""
    tree = folder / f"{name}-{version}"
    for path, text in files.items():
        _write(tree / path, text, 0o755 if "bin/" in path else 0o644)
    fields = f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
    _write(tree / "DEBIAN/control", f"{fields}Maintainer: t <t@example>\nDescription: {name}\n", 0o644)
    for script, text in (control or {}).items():
        is_script = script in ("preinst", "postinst", "prerm", "postrm", "config")
        _write(
            tree / "DEBIAN" / script,
            f"#!/bin/sh\nset -e\n{text}" if is_script else text,
            0o755 if is_script else 0o644,
        )
    if conffiles:
        _write(tree / "DEBIAN/conffiles", "".join(f"/{path}\n" for path in conffiles), 0o644)
    made = folder / f"{name}_{version}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    return made


def _write(file: Path, text: str, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
