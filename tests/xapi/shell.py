"""A shell on an emulated pool, for people who have none: script/pool."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.emulators.xapi import PASSWORD, EmulatedPool
from tests.samples import seal
from tests.xapi.furnished import at_work, furnished

HOSTS = ("alpha", "beta", "gamma")
SAID = """\
An emulated pool with {hosts}, the storages `shared` (the default) and `san`, and the network `lan`.
In this shell `skinnybox` talks to it, from a state folder of its own with the master tiny:1. Nothing boots:
its guests say that they are ready. `exit` ends all of it. To begin with:

  skinnybox doctor
  skinnybox create 'web-{{01..04}}' --master tiny --start

"""


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/pool", description=__doc__)
    parser.add_argument("--hosts", type=int, choices=range(1, len(HOSTS) + 1), default=1, help="so many (1)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="instead of a shell")
    said = parser.parse_args(words)
    hosts = HOSTS[: said.hosts]
    with tempfile.TemporaryDirectory(prefix="skinnybox-pool-") as folder:
        seal(Path(folder, "state"), Path(folder), "tiny", "1")
        with furnished(guest=at_work, hosts=hosts) as pool:
            pool.add_sr("san", "lvmoiscsi")
            if not said.command:
                print(SAID.format(hosts=f"the hosts {', '.join(hosts)}"), file=sys.stderr, end="")
            # Ctrl-C is for what runs in the shell; a handler, since what is ignored stays so in a child.
            signal.signal(signal.SIGINT, lambda *_: None)
            shell = [os.environ.get("SHELL") or "/bin/sh"]
            return subprocess.run(said.command or shell, env=environment(pool, Path(folder))).returncode


def environment(pool: EmulatedPool, folder: Path) -> dict[str, str]:
    """Over TLS, held to its certificate, as a real one is talked to."""
    address = pool.tls_url.replace("https://", "xapi://root@")
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("SKINNYBOX_")},
        "XDG_CONFIG_HOME": str(folder / "config"),  # one's own settings may name a real pool
        "SKINNYBOX_STATE": str(folder / "state"),
        "SKINNYBOX_HOST": f"{address}?sha256={pool.fingerprint}",
        "SKINNYBOX_XAPI_PASSWORD": PASSWORD,
        "SKINNYBOX_REACH": "false",  # nobody is at the addresses that these guests report
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
