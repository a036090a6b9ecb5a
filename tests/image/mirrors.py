"""A signed mirror of a few packages on this computer, and masters that trust it."""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from skinnybox import run
from skinnybox.masters import catalogue
from tests.image.debianlike import install, tree
from tests.image.debs import deb
from tests.samples import seal

KEY = "usr/share/keyrings/mirror.gpg"


@dataclass
class Mirror:
    """`asked` are the paths that were asked for, in their order; `slow` lets nothing come any more."""

    folder: Path
    address: str
    home: Path
    asked: list[str] = field(default_factory=list)
    slow: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)
    published: int = 1_700_000_000

    @property
    def key(self) -> bytes:
        return self.gpg("--export")

    def gpg(self, *words: str | Path) -> bytes:
        return run.run(["gpg", "--homedir", self.home, "--batch", "-q", *words]).stdout

    def source(self, options: str = f"signed-by=/{KEY}") -> str:
        return f"deb [{options}] {self.address} ./\n" if options else f"deb {self.address} ./\n"

    def add(self, name: str, version: str = "1", **fields: str) -> Path:
        """`fields` are further ones of its control file, with _ for -."""
        more = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
        architecture = "" if "Architecture" in fields else "Architecture: all\n"
        text = (
            f"Package: {name}\nVersion: {version}\n{architecture}{more}"
            f"Maintainer: t <t@example>\nDescription: {name}\n"
        )
        return deb(
            self.folder,
            name,
            version.rpartition(":")[2],
            {f"usr/bin/{name}": f"#!/bin/sh\necho {version}\n"},
            control={"control": text},
        )

    def publish(self, *, signed: bool = True) -> None:
        stanzas = []
        for file in sorted(self.folder.glob("*.deb")):
            control = run.run(["dpkg-deb", "-f", file]).stdout.decode()
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            size = file.stat().st_size
            stanzas.append(f"{control}Filename: ./{file.name}\nSize: {size}\nSHA256: {digest}\n")
        index = "\n".join(stanzas).encode()
        (self.folder / "Packages").write_bytes(index)
        told = f" {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
        release = self.folder / "Release"
        release.write_text(f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nOrigin: Mirror\nSHA256:\n{told}")
        (self.folder / "InRelease").unlink(missing_ok=True)
        if signed:
            self.gpg("--yes", "--clearsign", "-o", self.folder / "InRelease", release)
        self.published += 60  # HTTP asks by the second whether it is another
        for name in ("Packages", "Release", "InRelease"):
            if (self.folder / name).exists():
                os.utime(self.folder / name, (self.published, self.published))


@contextmanager
def mirrored(folder: Path) -> Iterator[Mirror]:
    (folder / "files").mkdir(parents=True)
    (folder / "home").mkdir(mode=0o700)
    held: list[Mirror] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            held[0].asked.append(self.path)
            if held[0].slow.is_set():
                held[0].end.wait(60)
            super().do_GET()

        def log_message(self, format: str, *words: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder / "files")))
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    mirror = Mirror(folder=folder / "files", address=address, home=folder / "home")
    held.append(mirror)
    mirror.gpg("--passphrase", "", "--quick-generate-key", "mirror@example", "ed25519", "sign")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.end.set()
        server.shutdown()
        server.server_close()
        run.run(["gpgconf", "--homedir", mirror.home, "--kill", "all"], ok=range(256))


def sealed(folder: Path, files: Mapping[str, str | bytes], *, status: str = "") -> Path:
    """The image of a master that has dpkg, `held` and these files, and more in its status."""
    root = tree(folder / "tree-web-1")
    for name in ("dpkg", "held"):
        install(root, name, "1", {})
    (root / "var/lib/dpkg/status").write_text((root / "var/lib/dpkg/status").read_text() + status)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    master = seal(folder / "state", folder, "web", "1")
    return catalogue.folder(folder / "state/masters", master) / master.images[0].file
