"""Who calls a hostile parser: a process of its own, as root or as an ordinary user, with something to lose.

Its arguments: where our package is, a home, how the parser runs (free, as a program, a reader, a QEMU with
some of its sockets), and what of the confinement is to be done without.
"""

import contextlib
import json
import os
import random
import socket
import sys
from pathlib import Path

SOURCE, HOME, HOW, *WITHOUT = sys.argv[1:]
sys.path.insert(0, SOURCE)

from skinnybox import run  # noqa: E402
from skinnybox.sandbox import confinement  # noqa: E402
from skinnybox.sandbox.confinement import Bounds  # noqa: E402
from skinnybox.sandbox.process import confined, confined_python  # noqa: E402
from skinnybox.sandbox.sockets import INTERNET  # noqa: E402

PARSER = Path(HOME, "parser", "hostile_parser.py")
GENEROUS = Bounds(memory=1 << 30, file_size=1 << 20, files=100)


def lived(folder: Path) -> None:
    (folder / ".ssh").mkdir(mode=0o700, parents=True)
    for name in ("id", "old", "spare"):
        (folder / ".ssh" / name).write_text(name)
        (folder / ".ssh" / name).chmod(0o600)
    (folder / "other").mkdir(mode=0o700)
    (folder / "other" / "overlay.img").write_text("another machine's")
    (folder / "other" / "overlay.img").chmod(0o600)


def tried(arguments: list[str], descriptor: int) -> bytes:
    if HOW == "free":
        words = [sys.executable, "-I", "-S", str(PARSER), *arguments, "another program"]
        return run.run(words, pass_fds=[descriptor]).stdout
    if HOW.startswith("machine"):
        _, sockets = HOW.split()
        bounds = confinement.MachineBounds(
            limits={"core": 0, "fsize": (1 << 20, 1 << 21)},
            user=54322 if os.geteuid() == 0 else None,
            files=[descriptor],
            sockets=sockets,
            ports=[1024, int(arguments[-1])],  # its ssh, and one that was led in
            resolves=sockets == INTERNET,
        )
        words = [sys.executable, "-I", "-S", "-c", PARSER.read_text(), *arguments]
        return run.run(confinement.machine_words(words, bounds), pass_fds=[descriptor]).stdout
    if HOW == "reader":
        confinement._PACKAGES = PARSER.parent
        with confined_python("hostile_parser", arguments, bounds=GENEROUS, pass_fds=[descriptor]) as pieces:
            return b"".join(pieces)
    words = [sys.executable, "-I", "-S", "-c", PARSER.read_text(), *arguments]
    return confined(words, file_size=1 << 20, pass_fds=[descriptor]).stdout


def main() -> None:
    confinement.WITHOUT = tuple(WITHOUT)
    home = Path(HOME, f"home-{Path(HOME).name}")
    lived(home)
    with contextlib.ExitStack() as stack:
        internet, abstract, named, log = (
            stack.enter_context(socket.socket(family, kind))
            for family, kind in (
                (socket.AF_INET, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_DGRAM),
            )
        )
        internet.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{home.name}")
        named.bind(str(home / "socket"))
        log.bind(str(home / "log"))
        # The kernel gives none of these to who asks for any, as other tests do meanwhile.
        port, own = internet.getsockname()[1], random.randrange(61001, 65535)
        for each in (internet, abstract, named):
            each.listen(5)
        shown = Path(HOME, "handed")
        shown.write_text("what it may read")
        shown.chmod(0o600)
        descriptor = os.open(shown, os.O_RDONLY | os.O_CLOEXEC)
        said = tried([str(home), str(port), str(os.getpid()), str(descriptor), str(own)], descriptor)
    left = {str(path.relative_to(home)): path.lstat().st_mode for path in home.rglob("*")}
    print(json.dumps({"said": json.loads(said), "left": left, "handed": shown.read_text()}))


main()
