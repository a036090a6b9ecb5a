"""Every way in which a guest could knock at its host's own loopback, and what is heard there."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.boot.frames import SENDER, udp

GATEWAY_MAC = "52:55:0a:00:02:02"


@contextlib.contextmanager
def listeners() -> Iterator[tuple[int, list[str]]]:
    """On the host's own loopback, TCP and UDP, both versions of IP, one port; the port and who was heard."""
    heard: list[str] = []
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = first.getsockname()[1]
        opened = [first, stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))]
        opened[1].bind(("127.0.0.1", port))
        with contextlib.suppress(OSError):
            opened.append(stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6)))
            opened.append(stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)))
            opened[-1].bind(("::1", port))
        over = threading.Event()
        threads = [threading.Thread(target=_hear, args=(one, heard, over)) for one in opened]
        for thread in threads:
            thread.start()
        try:
            yield port, heard
        finally:
            over.set()
            for thread in threads:
                thread.join()


def _hear(server: socket.socket, heard: list[str], over: threading.Event) -> None:
    server.settimeout(0.1)
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            if server.type == socket.SOCK_DGRAM:
                heard.append(f"udp {server.recvfrom(100)[0]!r}")
            else:
                caller, _ = server.accept()
                heard.append("tcp")
                caller.close()


def knocks(port: int) -> str:
    """Lines of shell that try every way to the host's loopback."""
    targets = ("10.0.2.2", "10.0.2.3", "10.0.2.4", "fec0::2", "fe80::2%$card")
    lines = [
        "card=$(ls /sys/class/net | grep -v lo | head -n 1)",
        "ip -6 address add fec0::5/64 dev $card nodad || true",
        *(f'timeout 2 bash -c "echo x >/dev/tcp/{target}/{port}" || true' for target in targets),
    ]
    frames = [
        udp(GATEWAY_MAC, "10.0.2.15", "10.0.2.2", port, b"raw"),
        udp("ff:ff:ff:ff:ff:ff", "10.0.2.15", "10.0.2.2", port, b"broadcast"),
        udp(GATEWAY_MAC, "10.0.2.99", "10.0.2.2", port, b"another guest"),
        udp(GATEWAY_MAC, "10.0.2.15", "127.0.0.1", port, b"loopback"),
        udp(GATEWAY_MAC, "127.0.0.1", "127.0.0.1", port, b"from loopback"),
        udp(GATEWAY_MAC, "192.168.7.7", "127.0.0.1", port, b"from elsewhere"),
        udp(GATEWAY_MAC, "10.0.2.15", "0.0.0.0", port, b"nowhere"),
        udp(GATEWAY_MAC, "10.0.2.15", "10.0.2.255", port, b"everybody"),
        udp(GATEWAY_MAC, "fec0::5", "fec0::2", port, b"six"),
        udp(GATEWAY_MAC, "fec0::5", "::1", port, b"six loopback"),
        udp(GATEWAY_MAC, "::1", "::1", port, b"six from loopback"),
        udp(GATEWAY_MAC, "fec0::5", "::ffff:127.0.0.1", port, b"six mapped"),
    ]
    sender = base64.b64encode(SENDER.encode()).decode()
    lines.append(f"echo {sender} | base64 -d >/tmp/send.pl")
    lines.append(f"perl /tmp/send.pl $card {' '.join(frame.hex() for frame in frames)}")
    return "\n".join(lines)
