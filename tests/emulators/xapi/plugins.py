"""host.call_plugin, by the real protocol: a program, its one argument an XML-RPC call, prints one response.

A plugin's own session goes back to the pool through its `XenAPIPlugin` module. In dom0 that is xapi's, on
xapi's unix socket; here dom0/XenAPIPlugin.py stands for it and speaks HTTP to the address in XAPI_EMULATOR.
"""

import os
import sys
import xmlrpc.client
from pathlib import Path

import XenAPI

from skinnybox import run
from tests.emulators.xapi.context import Call, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.wire import CALL_ERRORS

DOM0 = Path(__file__).with_name("dom0")


@implements("host.call_plugin")
def call_plugin(call: Call, host: str, plugin: str, function: str, args: dict[str, str]) -> str:
    """Blocks while the plugin runs; others may call meanwhile, the plugin above all."""
    call.database.record("host", host)
    call.work()
    program = find(call.xapi, plugin)
    request = xmlrpc.client.dumps((call.session, args), function)
    with call.xapi.unlocked():
        done = run.run(
            [*words(call.xapi), program, request],
            env=environment(call.xapi),
            ok=range(-64, 256),
        )
    return _answer(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def find(xapi: Xapi, name: str) -> Path:
    """Only a name that stands in the folder itself is a plugin, and it must be executable."""
    folder = xapi.options.plugins
    if folder is None or folder / name not in folder.iterdir() or not os.access(folder / name, os.X_OK):
        raise Failure("XENAPI_MISSING_PLUGIN", name)
    return folder / name


def words(xapi: Xapi) -> list[str]:
    """What a plugin is run with in place of the program its first line names; usually nothing."""
    return xapi.options.python.split() if xapi.options.python else []


def environment(xapi: Xapi) -> dict[str, str]:
    """dom0's Python: XenAPIPlugin and the SDK are importable, `python3` is the one that runs the tests.

    Jython, which stands for Python 2.7, looks elsewhere and gets a small SDK of its own.
    """
    sdk = Path(XenAPI.__file__).parents[1]
    return {
        "PYTHONPATH": f"{DOM0}:{sdk}",
        "JYTHONPATH": f"{DOM0}:{DOM0 / 'python2'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "XAPI_EMULATOR": xapi.local_url,
    }


def _answer(code: int, output: str, log: str) -> str:
    if code < 0:
        raise Failure("XENAPI_PLUGIN_FAILURE", f"signal: {-code}", output, log)
    if code:
        raise Failure("XENAPI_PLUGIN_FAILURE", "non-zero exit", output, log)
    try:
        (response,), _ = xmlrpc.client.loads(output)
    except xmlrpc.client.Fault as fault:
        raise Failure("XENAPI_PLUGIN_FAILURE", "fault", fault.faultCode, fault.faultString) from fault
    except CALL_ERRORS as error:
        raise Failure("XENAPI_PLUGIN_FAILURE", "failed to parse plugin output", output, str(error)) from error
    if isinstance(response, dict) and response.get("Status") == "Failure":
        raise Failure(*(str(each) for each in response["ErrorDescription"]))
    value = response.get("Value") if isinstance(response, dict) else None
    if not isinstance(value, str):
        raise Failure("XENAPI_PLUGIN_FAILURE", "unexpected XMLRPC result", output)
    return value
