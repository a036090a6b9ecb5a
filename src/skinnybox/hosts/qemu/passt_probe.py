"""Try passt as a hostile guest would, before any guest is given to it.

passt of 2023 (Debian 12) connects wherever a frame says, also to 127.0.0.1: a guest that sends raw frames
reaches every service on the host's loopback, whatever --no-map-gw promises. So: ask for an address as a guest
does, knock at a port of ours on the loopback, and see whether it opens; then answer as sshd would, and see
whether the words arrive.
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator

from skinnybox import process
from skinnybox.emulation.verdicts import Verdict

Start = Callable[[int, int | None, int | None, int], int]
"""Starts a passt: descriptor of its socket, ssh port, user, descriptor of its output. Returns the pid."""

_PATIENCE = 3.0
_KNOCKING = 0.7
_MAC = bytes.fromhex("525400736b62")
_TCP, _UDP = 6, 17
_SYN, _SYN_ACK, _PUSH_ACK = 0x02, 0x12, 0x18
_FIRST = 1000
_WORDS = b"SSH-2.0-probe\r\n"
_SOURCE_PORT = 40000
_DHCP_MAGIC = b"\x63\x82\x53\x63"
_DHCP_DISCOVER = b"\x35\x01\x01\xff"
_FRAME_LIMIT = 65536
_PAYLOAD = 34
"""Where TCP or UDP begins in an Ethernet frame with plain IPv4."""


def probe(start: Start, user: int | None) -> Verdict:
    """Blocks for up to ten seconds. Leaves no process behind."""
    ours, theirs = socket.socketpair()
    output = os.memfd_create("output")
    try:
        with ours, theirs:
            port = _free_port()
            pid = start(theirs.fileno(), port, user, output)
            theirs.close()
            try:
                found = _tried(ours, port)
            finally:
                _end(pid)
        said = os.pread(output, 2000, 0).decode("utf-8", "replace").strip().splitlines()
    finally:
        os.close(output)
    if found is not None:
        return found
    return Verdict(
        works=False, detail=f"passt does not serve a guest: {said[-1] if said else 'it is silent'}"
    )


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _tried(guest: socket.socket, port: int) -> Verdict | None:
    with contextlib.suppress(OSError):
        offer = _offer(guest)
        if offer is None:
            return None
        gateway, address = offer[6:12], offer[58:62]
        for target in ("127.0.0.1", "0.0.0.0"):
            if _opens(guest, gateway, address, target):
                return Verdict(
                    works=False,
                    detail="this passt lets a guest reach the host's loopback by raw frames",
                    hint="a newer passt (Debian 13 or later); until then machines are reached by ssh only",
                )
        if not serves(guest, port):
            return Verdict(works=False, detail="passt passes no data from a guest to the host's port")
        return Verdict(works=True, detail="passt serves a guest and keeps the host's loopback closed")
    return None


def serves(guest: socket.socket, port: int) -> bool:
    """Whether who connects to the host's port hears what a guest answers."""
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as client:
        call = next((frame for frame in _frames(guest, _PATIENCE) if _is_syn(frame)), None)
        if call is None:
            return False
        gateway, source, target = call[6:12], call[30:34], call[26:30]
        ports = (int.from_bytes(call[36:38], "big"), int.from_bytes(call[34:36], "big"))
        expected = int.from_bytes(call[38:42], "big") + 1 & 0xFFFFFFFF
        for sequence, flags, words in ((_FIRST, _SYN_ACK, b""), (_FIRST + 1, _PUSH_ACK, _WORDS)):
            segment = _segment(source, target, ports, (sequence, expected), flags, words)
            _send(guest, gateway, _packet(source, target, _TCP, segment))
            time.sleep(0.1)
        client.settimeout(_PATIENCE)
        with contextlib.suppress(TimeoutError):
            return client.recv(len(_WORDS)) == _WORDS
    return False


def _is_syn(frame: bytes) -> bool:
    return len(frame) > 47 and frame[23] == _TCP and frame[47] == _SYN


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        if not process.ended(pidfd, 1.0):
            process.kill(pidfd)
            process.ended(pidfd, 1.0)
        os.close(pidfd)
    process.reap(pid)


def _offer(guest: socket.socket) -> bytes | None:
    """The frame in which passt offers us an address."""
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 7, 0, 0) + bytes(16) + _MAC.ljust(16, b"\0") + bytes(192)
    request = head + _DHCP_MAGIC + _DHCP_DISCOVER
    datagram = struct.pack("!HHHH", 68, 67, 8 + len(request), 0) + request
    _send(guest, b"\xff" * 6, _packet(bytes(4), b"\xff" * 4, _UDP, datagram))
    for frame in _frames(guest, _PATIENCE):
        if len(frame) > 282 and frame[23] == _UDP and frame[_PAYLOAD : _PAYLOAD + 4] == b"\0\x43\0\x44":
            return frame
    return None


def _opens(guest: socket.socket, gateway: bytes, address: bytes, target: str) -> bool:
    """Whether a service of ours on the loopback answers a SYN to `target`."""
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        service.listen(1)
        to = socket.inet_aton(target)
        ports = (_SOURCE_PORT, service.getsockname()[1])
        segment = _segment(address, to, ports, (_FIRST, 0), _SYN)
        _send(guest, gateway, _packet(address, to, _TCP, segment))
        answers = (frame[_PAYLOAD:] for frame in _frames(guest, _KNOCKING) if frame[23:24] == b"\x06")
        opened = any(len(answer) > 13 and answer[13] == _SYN_ACK for answer in answers)
        service.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            service.accept()[0].close()
            opened = True
    return opened


def _segment(
    source: bytes,
    target: bytes,
    ports: tuple[int, int],
    numbers: tuple[int, int],
    flags: int,
    words: bytes = b"",
) -> bytes:
    """TCP without options. `ports` are from and to, `numbers` sequence and acknowledgement."""
    segment = struct.pack("!HHIIBBHHH", *ports, *numbers, 5 << 4, flags, 65535, 0, 0) + words
    pseudo = source + target + struct.pack("!BBH", 0, _TCP, len(segment))
    return segment[:16] + struct.pack("!H", _checksum(pseudo + segment)) + segment[18:]


def _packet(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + source + target
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + payload


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _send(guest: socket.socket, to: bytes, packet: bytes) -> None:
    frame = to + _MAC + b"\x08\x00" + packet
    guest.sendall(struct.pack("!I", len(frame)) + frame)


def _frames(guest: socket.socket, seconds: float) -> Iterator[bytes]:
    """The IPv4 frames that come within so many seconds; each is led by its length."""
    deadline, buffer = time.monotonic() + seconds, b""
    while (left := deadline - time.monotonic()) > 0:
        guest.settimeout(left)
        try:
            data = guest.recv(_FRAME_LIMIT)
        except TimeoutError:
            return
        if not data:
            return
        buffer += data
        while len(buffer) >= 4 and len(buffer) >= 4 + (length := int.from_bytes(buffer[:4], "big")):
            frame, buffer = buffer[4 : 4 + length], buffer[4 + length :]
            if frame[12:14] == b"\x08\x00":
                yield frame
