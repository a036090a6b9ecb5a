"""What answers as ssh for guests that nobody boots: a listener on the loopback, whatever their address is."""

import contextlib
import socket
import threading

from skinnybox.hosts import reach
from skinnybox.hosts.reach import Way

BANNER = b"SSH-2.0-pretended\r\n"


class Ssh:
    """Shut, it refuses. `dial` is for XapiHost; `asked` is where it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Way] = []
        self._server = socket.socket()
        self._server.bind(("127.0.0.1", 0))
        self._thread: threading.Thread | None = None

    def dial(self, way: Way) -> socket.socket:
        self.asked.append(way)
        return reach.dial(Way(*self._server.getsockname()))

    def open(self) -> None:
        """Idempotent."""
        if self._thread is None:
            self._server.listen(16)
            self._thread = threading.Thread(target=self._answer, name="xapi-emulator-ssh")
            self._thread.start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with client, contextlib.suppress(OSError):
                    client.sendall(BANNER)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        if self._thread is not None:
            self._thread.join()
