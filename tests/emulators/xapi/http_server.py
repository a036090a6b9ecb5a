"""HTTP and HTTPS of one host: POST / (XML-RPC) and /jsonrpc, PUT /import_raw_vdi, GET /export_raw_vdi."""

import contextlib
import socket
import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.emulators.xapi import dispatch, transfer, wire
from tests.emulators.xapi.context import Xapi
from tests.emulators.xapi.dispatch import Threads
from tests.emulators.xapi.failure import Dropped

_IDLE_SECONDS = 300.0
_HANDSHAKE_SECONDS = 10.0
_MOST_DRAINED = 1 << 16


class Server(ThreadingHTTPServer):
    """One listening port. After `stop_listening`, `close` ends every connection and joins every thread."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, xapi: Xapi, host: str, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self.xapi, self.host, self.tls = xapi, host, tls
        self.tasks = Threads()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="xapi-emulator-http")
        self._thread.start()

    def server_bind(self) -> None:
        """Without asking for the address's name, which takes its time."""
        socketserver.TCPServer.server_bind(self)

    @property
    def address(self) -> str:
        return str(self.server_address[0])

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that a slow handshake holds up nobody."""
        request.settimeout(_HANDSHAKE_SECONDS)
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return  # a client that does not trust us
        request.settimeout(_IDLE_SECONDS)
        with self._open_lock:
            self._open.add(request)
        try:
            Handler(request, client_address, self)
        finally:
            with self._open_lock:
                self._open.discard(request)
            if self.tls is not None:
                request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news; anything else is a bug of the emulator."""
        if not isinstance(sys.exception(), OSError | Dropped):
            super().handle_error(request, client_address)

    def stop_listening(self) -> None:
        """Soon: serve_forever looks twenty times a second."""
        self._stopping = threading.Thread(target=self.shutdown, name="xapi-emulator-stop")
        self._stopping.start()

    def close(self) -> None:
        self._stopping.join()
        self._thread.join()
        with self._open_lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self.tasks.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    wbufsize = -1
    begun = False
    """Whether a transfer's answer went out."""

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the call log has it."""

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, Dropped):
            self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_json = self.path.split("?")[0].rstrip("/") == "/jsonrpc"
        try:
            request = wire.read_json(body) if is_json else wire.read_xml(body)
        except (*wire.CALL_ERRORS, AttributeError) as error:
            self.reply(
                500, f"<html><body><h1>HTTP 500 internal server error</h1>{error}</body></html>".encode()
            )
            return
        answer = dispatch.answer(self.server.xapi, self.server.host, request, self.server.tasks.spawn)
        self.reply(200, answer, "application/json" if is_json else "text/xml")

    def do_PUT(self) -> None:
        if self.path.startswith("/import_raw_vdi"):
            self.close_connection = True
            transfer.receive(self)
        else:
            self.reply(404, b"")

    def do_GET(self) -> None:
        if self.path.startswith("/export_raw_vdi"):
            self.close_connection = True
            transfer.send(self)
        else:
            self.reply(404, b"")

    def reply(self, status: int, body: bytes, type_: str = "text/html", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def drain(self) -> None:
        """A little of what a refused client still sends: with more, it sees a broken pipe, as with xapi."""
        with contextlib.suppress(OSError):
            self.connection.settimeout(1.0)
            self.rfile.read(min(_MOST_DRAINED, int(self.headers.get("Content-Length", 0))))


def port_everywhere(addresses: list[str]) -> int:
    """A port that is free on all of these addresses: a pool's hosts all use the same one."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server((addresses[0], 0)))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError):
                for address in addresses[1:]:
                    stack.enter_context(socket.create_server((address, port)))
                return port
