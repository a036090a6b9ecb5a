"""serve. What it takes to serve is imported when it serves."""

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from skinnybox.cli import options, report
from skinnybox.errors import Unsupported, UsageError

if TYPE_CHECKING:
    from skinnybox.serve.process import Serving

_PORT = 8470


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "serve", _serve, "serve the REST API and the web console, until a signal ends it",
        "Its owner comes in by the socket, everybody else with a token: `skinnybox token create`. The first "
        "Ctrl-C or SIGTERM ends jobs where nothing is lost, a second one at once; SIGHUP reads the "
        "certificate anew. It needs: pip install 'skinnybox[serve]'.",
    )  # fmt: skip
    add = parser.add_argument
    add("--listen", metavar="ADDRESS:PORT", action="append", default=[],
        help=f"where (default 127.0.0.1:{_PORT}); what others reach needs TLS; may repeat")  # fmt: skip
    add("--socket", metavar="FILE", type=options.path,
        help="the owner's Unix socket (default serve.sock in the state folder)")  # fmt: skip
    add("--tls-cert", metavar="FILE", type=options.path, help="certificate with its chain, PEM")
    add("--tls-key", metavar="FILE", type=options.path, help="its key, which nobody else may read")
    add("--tls-min", choices=("1.2", "1.3"), default="1.2", help="the oldest TLS (default 1.2)")
    add("--host-name", metavar="NAME", action="append", default=[],
        help="a name by which browsers call it; by any other they are refused; may repeat")  # fmt: skip
    add("--behind-proxy", metavar="ADDRESS", action="append", default=[],
        help="a proxy with TLS whose X-Forwarded-For and -Proto are believed; may repeat")  # fmt: skip
    add("--unit", action="store_true", help="print the systemd unit that serves so, and end")


def _serve(arguments: argparse.Namespace) -> int:
    settings = options.settings(arguments)
    if arguments.unit:
        return _unit(arguments)
    try:
        process = import_module("skinnybox.serve.process")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("skinnybox"):
            raise
        raise Unsupported(
            f"what serves is not installed: there is no {error.name}", hint="pip install 'skinnybox[serve]'"
        ) from error
    how = _how(arguments)
    process.log_to_standard_error()
    with options.fleet(arguments) as fleet:
        process.serve(fleet, settings.state, how, report.note)
    return 0


def _how(arguments: argparse.Namespace) -> "Serving":
    """UsageError for what cannot be meant."""
    from skinnybox.serve import addresses, process
    from skinnybox.serve.certificate import Certificate

    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        raise UsageError("a certificate and its key belong together", hint="--tls-cert FILE --tls-key FILE")
    certificate = None
    if arguments.tls_cert:
        certificate = Certificate(
            chain=arguments.tls_cert.absolute(), key=arguments.tls_key.absolute(), least=arguments.tls_min
        )
    listen = dict.fromkeys(addresses.parse_address(text) for text in arguments.listen)
    how = process.Serving(
        listen=tuple(listen) or (addresses.DEFAULT,),
        socket=arguments.socket.absolute() if arguments.socket else None,
        certificate=certificate,
        names=tuple(addresses.parse_name(name) for name in arguments.host_name),
        proxies=tuple(addresses.parse_proxy(text) for text in arguments.behind_proxy),
    )
    process.refuse_plain(how)
    return how


def _unit(arguments: argparse.Namespace) -> int:
    """With absolute paths: a service is started in no folder of anybody."""
    import os
    import shutil
    import sys

    from skinnybox.serve.unit import unit

    settings = options.settings(arguments)
    words: list[str] = []
    for option in ("listen", "host_name", "behind_proxy"):
        words += [f"--{option.replace('_', '-')}={value}" for value in getattr(arguments, option)]
    for option in ("socket", "tls_cert", "tls_key"):
        if value := getattr(arguments, option):
            words.append(f"--{option.replace('_', '-')}={value.absolute()}")
    if arguments.tls_min != "1.2":
        words.append(f"--tls-min={arguments.tls_min}")
    program = shutil.which("skinnybox") or os.path.abspath(sys.argv[0])  # noqa: PTH100 (links are kept)
    before = [f"--state={settings.state}", f"--host={settings.host}"]
    socket = str(arguments.socket.absolute()) if arguments.socket else ""
    root = os.geteuid() == 0
    print(unit(program, str(settings.state), before, words, root=root, socket=socket), end="")
    return 0
