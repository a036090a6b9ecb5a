"""A guest's sftp server that lies: it has one folder, /made, and answers as `wrong` says."""

import os
import stat
import struct
import sys

FOLDER, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
ENDLESS = ("endless", "deep", "dots", "left-deep", "left-endless")


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def attributes(mode: int, size: int = 0) -> bytes:
    return struct.pack(">IQI", 1 | 4, size, mode)


def status(code: int, message: bytes = b"no") -> bytes:
    return struct.pack(">I", code) + text(message) + text(b"")


class Server:
    def __init__(self, wrong: str) -> None:
        self.wrong, self.listed = wrong, 0

    def names(self) -> tuple[int, bytes]:
        """One answer to READDIR."""
        self.listed += 1
        entries = {
            "up": [(b"../up", FILE)],
            "absolute": [(os.fsencode(sys.argv[-1]), FILE)],
            "empty": [(b"", FILE)],
            "nul": [(b"a\0b", FILE)],
            "long": [(b"x" * 300, FILE)],
            "twice": [(b"a", LINK), (b"a", FILE)],
            "device": [(b"null", stat.S_IFCHR | 0o666), (b"pipe", stat.S_IFIFO | 0o666)],
            "setuid": [(b"sh", FILE | 0o6755)],
            "none": [],
            "link": [(b"a", LINK)],
            "deep": [(b"a", FOLDER)],
            "left-deep": [(b"a", FOLDER)],
            "dots": [(b".", FOLDER), (b"..", FOLDER)],
            "endless": [(b"%d-%d" % (self.listed, n), LINK) for n in range(1000)],
            "left-endless": [(b"%d-%d" % (self.listed, n), LINK) for n in range(1000)],
        }.get(self.wrong, [(b"a", FILE)])
        if self.listed > 1 and self.wrong not in ENDLESS:
            return 101, status(1)
        size = 5 if self.wrong == "setuid" else 0
        named = (text(name) + text(b"") + attributes(mode, size) for name, mode in entries)
        return 104, struct.pack(">I", len(entries)) + b"".join(named)

    def answer(self, kind: int, request: bytes) -> tuple[int, bytes]:
        path = request[4 : 4 + struct.unpack(">I", request[:4])[0]]
        if kind in (7, 17):
            if path == b"/made":
                return 105, attributes(FOLDER)
            if self.wrong.startswith("left-"):  # all of it has a name that only what is left has
                return (105, attributes(FOLDER)) if b".part" in path else (101, status(2))
            size = {"huge": 1 << 62, "cut": 100}.get(self.wrong, 0)
            return 105, attributes(FILE, size)
        if kind in (3, 11):
            return 102, text(b"h")
        if kind == 12:
            return self.names()
        if kind == 19:
            return 104, struct.pack(">I", 1) + text(b"/etc/passwd") + text(b"") + attributes(LINK)
        if kind == 5:
            return self.piece(*struct.unpack(">QI", request[-12:]))
        if kind == 6 and self.wrong.startswith("left-"):
            return 101, status(4)
        return 101, status(0)

    def piece(self, offset: int, length: int) -> tuple[int, bytes]:
        if self.wrong == "never-ends":
            return 103, text(b"x" * length)
        if self.wrong == "too-much":
            return 103, text(b"x" * (length + 1))
        whole = b"hello" if self.wrong == "setuid" else b"x" * 40 if self.wrong == "cut" else b""
        found = whole[offset : offset + length]
        return (103, text(found)) if found else (101, status(1))


def exactly(length: int) -> bytes:
    found = b""
    while len(found) < length:
        piece = os.read(0, length - len(found))
        if not piece:
            sys.exit()
        found += piece
    return found


def main(wrong: str) -> None:
    server = Server(wrong)
    if wrong == "babble":
        os.write(1, b"Welcome to this machine!\n")
    while True:
        (length,) = struct.unpack(">I", exactly(4))
        packet = exactly(length)
        if packet[0] == 1:
            os.write(1, struct.pack(">IBI", 5, 2, 3))
            continue
        if wrong == "silent":
            continue
        kind, body = server.answer(packet[0], packet[5:])
        number = b"\xff\xff\xff\xff" if wrong == "other-number" else packet[1:5]
        os.write(1, struct.pack(">IB", len(body) + 5, kind) + number + body)


if __name__ == "__main__":
    main(sys.argv[1])
