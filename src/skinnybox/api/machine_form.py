"""The form of a machine; tests/api/test_forms.py holds it to what fleet/present.py tells."""

from typing import Any, Literal

from skinnybox.api.forms import Told
from skinnybox.fleet.view import Condition


class Machine(Told):
    """Sizes are bytes, times ISO 8601. null is what is not known now: of one that is off, what its guest
    tells."""

    name: str
    uuid: str
    state: Condition
    reason: str | None
    """Why it is not simply well."""
    master: str
    master_id: str
    overlay: int
    overlay_used: int | None
    """As its guest sees it."""
    overlay_written: int | None
    """What it takes on the host."""
    allocation: Literal["reserved", "sparse"]
    memory: int
    cpus: int
    address: str | None
    """USER@HOST:PORT of its ssh."""
    network: str | None
    bridge: str | None
    guest_addresses: list[str]
    mac: str
    ssh_host_keys: list[str]
    """Fingerprints."""
    seed_generation: int
    dax: bool | None
    layers: list[str]
    """What its layers were called when it was made, the lowest first."""
    layer_ids: list[str]
    kernel: str | None
    boot: float | None
    """Seconds from power-on until it was ready."""
    pid: int | None
    autostart: bool
    created: str
    failed_units: list[str]
    forwards: list[str]
    protected: bool
    labels: dict[str, str]
    swap: dict[str, Any] | None
    throw_away: dict[str, Any] | None
    encrypt: Any
    check: str | None
    data: int | None
    data_folders: list[str] | None
    data_allocation: str | None
    successor: str | None
    """What the newest master of its name is called, where that is another."""
    swap_on: int | None
    data_used: int | None
    macs: list[str]
    inactive_units: list[str]
    """Services that ran before it was rebased, and do not now."""
    rebase_tasks: dict[str, Any] | None
    """What its guest says of what a rebase left it to do: `id`, `done` and `why`."""
    trial: dict[str, Any] | None
    """From its rebase on until that is committed or taken back: `phase` (built, running, passed), `before`,
    `kept`, `since`, `until` and `keep_until`."""
    fleet: str | None
    """The fleet file it belongs to."""
    revision: str
    """As in its ETag."""
