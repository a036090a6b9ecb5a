"""A pool that closes leaves nothing: no thread, no port, no file, whatever its clients are doing."""

import contextlib
import socket
import threading
import time
import xmlrpc.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.emulators.xapi import PASSWORD, EmulatedPool


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("xapi-emulator")]


def test_nothing_is_left() -> None:
    pool = EmulatedPool(hosts=("alpha", "beta"))
    where, files = urlsplit(pool.url), pool.xapi.scratch
    template = pool.add_template("Debian")
    pool.faults.slow("VM.clone", 600.0)
    clients = [xmlrpc.client.ServerProxy(pool.url) for _ in range(2)]
    answer: Any = clients[0].session.login_with_password("root", PASSWORD)
    clients[0].Async.VM.clone(answer["Value"], template, "never")
    failed: list[Exception] = []

    def wait_for_events() -> None:
        token: Any = clients[1].event.get_current_id(answer["Value"])
        try:
            getattr(clients[1].event, "from")(
                answer["Value"], ["network"], f"{int(token['Value']):020d},0", 600.0
            )
        except OSError as error:
            failed.append(error)

    waiting = threading.Thread(target=wait_for_events)
    waiting.start()
    with socket.create_connection((where.hostname or "", where.port or 0)):
        while not pool.log.count("event.from"):
            time.sleep(0.01)
        pool.close()
    waiting.join()
    for client in clients:
        client("close")()
    assert failed and threads() == [] and not files.exists()
    with pytest.raises(OSError), contextlib.closing(socket.create_connection((where.hostname, where.port))):
        pass


def test_a_bug_of_the_emulator_fails_the_test() -> None:
    pool = EmulatedPool()
    pool.xapi.bugs.append("Traceback of something")
    with pytest.raises(AssertionError, match="bugs of the emulator"):
        pool.close()
    assert threads() == []
