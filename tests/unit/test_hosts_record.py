import contextlib
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Instance, Network, Seed, SeedFile, Stack, StaticNetwork, Trial, TrialPhase
from tests.samples import an_instance

PLAIN = an_instance(
    uuid=uuid.UUID(int=7),
    stack=Stack(master="sha256:aa", reference="lamp:1", images=("sha256:bb", "sha256:cc")),
    seed=Seed(hostname="web-01", machine_id="0" * 32, authorized_keys=("ssh-ed25519 AAAA a",)),
    created=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)
FULL = replace(
    PLAIN,
    stack=replace(PLAIN.stack, dax=True),
    ssh_port=22000,
    network=Network.OPEN,
    seed=replace(
        PLAIN.seed,
        generation=3,
        network=StaticNetwork(address="10.0.0.2/24", gateway="10.0.0.1", dns=("1.1.1.1",)),
        files=(SeedFile(path="/x", content=b"\0\xff", mode=0o4755, owner="www:www"),),
        run_once="echo \N{SNOWMAN}",
    ),
)
TRIED = replace(
    FULL,
    trial=Trial(
        before=PLAIN.stack,
        kept="before-rebase-1",
        since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        phase=TrialPhase.RUNNING,
        patience=600,
        started=datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC),
        identifier="0af3",
    ),
)

LATER = ("sum", "bridge", "fleet", "autostart")
"""What the first version did not write."""


@pytest.mark.parametrize("instance", [PLAIN, FULL, TRIED])
def test_a_record_survives_json(instance: Instance) -> None:
    assert from_record(json.loads(json.dumps(to_record(instance)))) == instance


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": "hopeful"},
        {"patience": 0},
        {"patience": "long"},
        {"identifier": "../x"},
        {"identifier": ""},
        {"kept": None},
        {"before": None},
        {"since": None},
    ],
)
def test_a_damaged_trial_is_refused(changes: dict[str, Any]) -> None:
    record = to_record(TRIED)
    del record["sum"]
    with pytest.raises(Corrupt):
        from_record({**record, "trial": {**record["trial"], **changes}})


def test_a_record_from_before_dax_has_none() -> None:
    record = to_record(PLAIN)
    del record["stack"]["dax"], record["sum"]
    assert from_record(record) == PLAIN


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {"uuid": "no"},
        {"overlay": {"size": "x", "allocation": "reserved"}},
        {"overlay": {"size": 1, "allocation": "wishful"}},
        {"seed": None},
        {"network": "carrier-pigeon"},
        {"created": "yesterday"},
        {"cpus": float("inf")},
        {"memory": float("nan")},
        {"name": float("nan")},
        {"name": None},
        {"fleet": 7},
        {"ssh_user": ["root"]},
        {"ssh_port": "first"},
        {"stack": {"master": "m", "reference": "r", "images": "sha256:1"}},
        {"stack": {"master": "m", "reference": "r", "images": [1]}},
    ],
)
def test_a_damaged_record_is_refused(changes: dict[str, Any]) -> None:
    """Also where no sum shows it, as in those of the first version."""
    record = {**to_record(PLAIN), **changes}
    without = {key: value for key, value in record.items() if key != "sum"}
    for damaged in (record, without):
        with pytest.raises(Corrupt):
            from_record(damaged)


@pytest.mark.parametrize("missing", [key for key in to_record(PLAIN) if key not in LATER])
def test_a_record_is_whole_or_refused(missing: str) -> None:
    record = to_record(PLAIN)
    del record[missing]
    with pytest.raises(Corrupt):
        from_record(record)


def test_no_flipped_bit_makes_another_machine() -> None:
    text = json.dumps(to_record(FULL)).encode()
    for bit in range(0, 8 * len(text), 3):
        damaged = bytearray(text)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(ValueError, Corrupt, Unsupported):
            assert from_record(json.loads(damaged)) == FULL


def test_what_is_no_record_at_all_is_refused() -> None:
    with pytest.raises(Corrupt):
        from_record([])  # type: ignore[arg-type]
