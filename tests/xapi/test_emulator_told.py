"""What a machine is told stands in two places, and the guest may write in one of them."""

from tests.emulators.xapi import guests
from tests.xapi.conftest import Place


def told(place: Place, **keys: str) -> str:
    """A running machine that was told these keys before it started."""
    vm = place.machine()
    place.api.VM.set_xenstore_data(vm, {f"vm-data/{key}": value for key, value in keys.items()})
    place.api.VM.start(vm, False, False)
    return vm


def record(place: Place, vm: str) -> dict[str, str]:
    """Its keys, without the folders that xapi lists as well."""
    return {key: value for key, value in place.api.VM.get_xenstore_data(vm).items() if value}


def test_what_is_removed_from_the_record_alone_comes_back(place: Place) -> None:
    vm = told(place, order="1", name="web")
    place.api.VM.remove_from_xenstore_data(vm, "vm-data/order")
    place.api.VM.add_to_xenstore_data(vm, "vm-data/late", "1")
    assert record(place, vm) == {"vm-data/name": "web", "vm-data/late": "1"}
    live = {"vm-data/order": "1", "vm-data/name": "web"}
    assert place.pool.guest_reads(vm) == live
    place.pool.restart_toolstack()
    assert record(place, vm) == live
    assert place.api.VM.get_xenstore_data(vm)["vm-data"] == ""


def test_setting_the_whole_reaches_a_machine_that_runs(place: Place) -> None:
    vm = told(place, order="1", name="web")
    place.api.VM.set_xenstore_data(vm, {"vm-data/name": "db", "elsewhere": "x"})
    assert place.pool.guest_reads(vm) == record(place, vm) == {"vm-data/name": "db"}
    place.api.VM.pause(vm)
    place.api.VM.set_xenstore_data(vm, {"vm-data/name": "late"})
    assert place.pool.guest_reads(vm) == {"vm-data/name": "db"}
    assert record(place, vm) == {"vm-data/name": "late"}


def test_what_a_guest_writes_is_in_its_record_and_in_its_next_start(place: Place) -> None:
    vm = told(place, name="web", order="1")
    place.api.VM.add_to_xenstore_data(vm, "vm-data/late", "1")
    place.pool.guest_writes(vm, {"vm-data/deep/er": "mine", "vm-data/order": None, "data/x": "not shown"})
    assert record(place, vm) == {"vm-data/name": "web", "vm-data/deep/er": "mine"}
    assert place.api.VM.get_xenstore_data(vm)["vm-data/deep"] == ""
    place.api.VM.hard_shutdown(vm)
    place.api.VM.add_to_xenstore_data(vm, "vm-data/off", "1")
    place.api.VM.start(vm, False, False)
    with place.pool.database():
        live = guests.told(place.pool.xapi, vm)
    expected = {"vm-data/name": "web", "vm-data/deep/er": "mine", "vm-data/off": "1", "vm-data/deep": ""}
    assert live == expected
