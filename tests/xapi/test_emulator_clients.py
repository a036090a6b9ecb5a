"""A client that nobody wrote for the emulator: Xen Orchestra's own, over JSON-RPC, from npm."""

import json
import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, TimedOut
from tests.emulators.xapi import PASSWORD, EmulatedPool

CACHE = Path(__file__).parents[2] / ".cache" / "xen-api"
VERSION = "4.7.6"

SCRIPT = """
import { createClient } from 'xen-api'
const [url, user, password] = process.argv.slice(2)
const xapi = createClient({ url, auth: { user, password }, allowUnauthorized: true, debounce: 10 })
await xapi.connect()
await xapi.objectsFetched
const all = Object.values(xapi.objects.all)
const vm = all.find(o => o.$type === 'VM' && o.name_label === 'web')
const running = new Promise(resolve => xapi.objects.on('update', changed => {
  for (const o of Object.values(changed)) if (o?.$ref === vm.$ref && o.power_state === 'Running') resolve(o)
}))
await xapi.callAsync('VM.start', vm.$ref, false, false)
const found = await running
console.log(JSON.stringify({ types: [...new Set(all.map(o => o.$type))].sort(), state: found.power_state }))
await xapi.disconnect()
process.exit(0)
"""


@pytest.fixture(scope="session")
def xen_api() -> Path:
    """A folder with the package, installed once."""
    if run.find("npm") is None or run.find("node") is None:
        pytest.skip("no node and npm here")
    if not (CACHE / "node_modules" / "xen-api").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        words = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(CACHE), f"xen-api@{VERSION}"]
        try:
            run.run(words, timeout=300, env=os.environ)
        except (CommandFailed, TimedOut) as error:
            pytest.skip(f"xen-api cannot be installed from npm: {error}")
    (CACHE / "follow.mjs").write_text(SCRIPT)
    return CACHE


@pytest.mark.timeout(400)
def test_it_logs_in_reads_everything_and_follows_events(xen_api: Path) -> None:
    with EmulatedPool(hosts=("alpha", "beta")) as pool:
        pool.add_sr("shared", "nfs")
        pool.add_network("lan")
        with pool.session() as api:
            vm = api.VM.clone(pool.add_template("Debian"), "web")
            api.VM.provision(vm)
        done = run.run(["node", xen_api / "follow.mjs", pool.tls_url, "root", PASSWORD], timeout=60)
        seen = json.loads(done.stdout)
        assert seen["state"] == "Running"
        assert {"VM", "host", "pool", "SR", "network", "PBD", "SM", "role"} <= set(seen["types"])
        # It asks for every class that system.listMethods names, and so for two that are gone.
        assert {each.failure for each in pool.log.of()} == {None, "MESSAGE_REMOVED"}
