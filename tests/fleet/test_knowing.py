"""Masters whose guest part is older than what a machine would be told."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.fleet import knowing
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import Entry, write_index
from skinnybox.model import GUEST_PROTOCOL, StaticNetwork, fields
from skinnybox.model.fields import Field
from tests.fleet.conftest import SPARSE
from tests.samples import a_master, an_instance
from tests.unit.test_model_fields import OTHER, all_given

LATER = [field for field in fields.machine_fields() if field.protocol > 1 and field.given]


@pytest.mark.parametrize("field", LATER, ids=lambda field: str(field.key))
def test_what_an_older_guest_part_does_not_know_is_refused(field: Field) -> None:
    assert field.given
    asked = replace(SPARSE, **{field.given: OTHER[field.given]})
    knowing.check(asked, a_master(guest_protocol=field.protocol))
    with pytest.raises(Unsupported, match=f"does not know {field.key or field.name}: it speaks") as refused:
        knowing.check(asked, a_master(guest_protocol=field.protocol - 1))
    assert refused.value.hint and "build or import the master again" in refused.value.hint
    with pytest.raises(Unsupported):
        knowing.check(all_given(), a_master(guest_protocol=1))


def test_several_addresses_are_words_that_an_older_guest_part_does_not_know() -> None:
    asked = replace(SPARSE, static_network=StaticNetwork(address="10.0.0.5/24", also=("fd00::5/64",)))
    knowing.check(asked, a_master(guest_protocol=3))
    with pytest.raises(Unsupported, match="does not know several addresses"):
        knowing.check(asked, a_master(guest_protocol=2))
    knowing.check(
        replace(asked, static_network=StaticNetwork(address="fd00::5/64")), a_master(guest_protocol=1)
    )


def test_what_is_empty_is_asked_for_all_the_same() -> None:
    with pytest.raises(Unsupported, match="does not know user_data"):
        knowing.check(replace(SPARSE, user_data=b""), a_master(guest_protocol=2))


def test_what_nobody_asks_for_is_known_to_all() -> None:
    knowing.check(SPARSE, a_master(guest_protocol=1))
    knowing.check(an_instance(), a_master(guest_protocol=1))


@pytest.mark.parametrize("program", [b"usr/bin/cloud-init", b"usr/bin/cloud-id", None])
def test_user_data_needs_a_cloud_init(tmp_path: Path, program: bytes | None) -> None:
    """Of a master whose index is gone nobody knows: its guest part will say it."""
    told, master = replace(SPARSE, user_data=b""), a_master()
    if program is not None:
        entries = [
            Entry(path=path, type="-", mode=0o755, uid=0, gid=0, mtime_ns=0) for path in (b"a", program)
        ]
        write_index(entries, tmp_path / INDEX)
    knowing.check_cloud_init(SPARSE, master, tmp_path)
    if program == b"usr/bin/cloud-id":
        with pytest.raises(Unsupported, match="has no cloud-init") as refused:
            knowing.check_cloud_init(told, master, tmp_path)
        assert refused.value.hint and "--package cloud-init" in refused.value.hint
    else:
        knowing.check_cloud_init(told, master, tmp_path)


@pytest.mark.parametrize("protocol", range(1, GUEST_PROTOCOL + 1))
def test_what_goes_back_to_an_older_guest_part_is_as_it_was_then_where_that_does_not_know_it(
    protocol: int,
) -> None:
    master, then = a_master(guest_protocol=protocol), an_instance()
    now = replace(all_given(), data=None, encrypt=None)  # they are disks: nothing takes them back
    back = knowing.known(now, then, master)
    knowing.check(back, master)
    for field in fields.machine_fields():
        if field.word:
            told = then if field.protocol > protocol else now
            assert fields.part(back, field) == fields.part(told, field), field.name


@pytest.mark.parametrize("protocol", [2, 3])
def test_several_addresses_are_taken_back_with_all_of_that_line(protocol: int) -> None:
    master, then = a_master(guest_protocol=protocol), an_instance()
    several = StaticNetwork(address="10.0.0.5/24", also=("fd00::5/64",))
    now = replace(then, seed=replace(then.seed, network=several))
    back = knowing.known(now, then, master)
    assert back.seed.network == (several if protocol == 3 else then.seed.network)
    other = replace(then, seed=replace(then.seed, network=StaticNetwork(address="10.0.0.6/24")))
    assert knowing.known(other, then, master) == other


def test_no_word_is_of_tomorrow() -> None:
    assert all(1 <= field.protocol <= GUEST_PROTOCOL for field in fields.machine_fields())
