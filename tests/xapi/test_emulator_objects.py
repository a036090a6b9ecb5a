"""Fields, maps, filters and events, as every class has them."""

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.xapi.conftest import Place

Refused = Callable[..., list[str]]


def test_maps_and_sets_change_by_key(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    api.VM.add_to_other_config(vm, "skinnybox:role", "web")
    duplicate = refused(api.VM.add_to_other_config, vm, "skinnybox:role", "db")
    assert duplicate == ["MAP_DUPLICATE_KEY", "VM", "other_config", api.VM.get_uuid(vm), "skinnybox:role"]
    api.VM.remove_from_other_config(vm, "skinnybox:role")
    assert "skinnybox:role" not in api.VM.get_other_config(vm)
    api.VM.add_tags(vm, "skinny")
    api.VM.add_tags(vm, "skinny")
    assert api.VM.get_tags(vm) == ["skinny"]
    assert api.VM.get_by_name_label("web") == [vm]


def test_filters(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    running = 'field "power_state" = "Running" and not field "is_control_domain" = "true"'
    assert api.VM.get_all_records_where(running) == {}
    api.VM.start(vm, False, False)
    assert list(api.VM.get_all_records_where(running)) == [vm]
    assert set(api.VM.get_all_records_where("true")) == set(api.VM.get_all())
    either = f'(field "uuid" = "{api.VM.get_uuid(vm)}") or false'
    assert list(api.VM.get_all_records_where(either)) == [vm]
    assert refused(api.VM.get_all_records_where, 'field "colour" = "red"')[0] == "INVALID_VALUE"


def events_of(api: Any, classes: list[str], token: str, timeout: float = 0.0) -> dict[str, Any]:
    return dict(getattr(api.event, "from")(classes, token, timeout))


def test_events_from_the_beginning_and_from_a_token(place: Place, refused: Refused) -> None:
    api, vm = place.api, place.machine()
    whole = events_of(api, ["VM"], "")
    assert {each["ref"] for each in whole["events"]} == set(api.VM.get_all())
    assert all(each["class"] == "vm" and each["operation"] == "add" for each in whole["events"])
    assert whole["valid_ref_counts"]["vm"] == len(api.VM.get_all())
    api.VM.set_name_label(vm, "db")
    api.VM.set_name_description(vm, "several changes, one event")
    changed = events_of(api, ["vm"], whole["token"])
    (event,) = changed["events"]
    assert (event["operation"], event["snapshot"]["name_label"]) == ("mod", "db")
    api.VM.destroy(vm)
    (event,) = events_of(api, [f"VM/{vm}"], changed["token"])["events"]
    assert event["operation"] == "del" and "snapshot" not in event
    assert refused(events_of, api, ["*"], "nonsense")[0] == "EVENT_FROM_TOKEN_PARSE_FAILURE"


def test_waiting_for_an_event(place: Place) -> None:
    api = place.api
    token = events_of(api, ["*"], "")["token"]
    assert events_of(api, ["network"], token, 0.05)["events"] == []
    seen: list[Any] = []
    with place.pool.session() as other:
        thread = threading.Thread(target=lambda: seen.append(events_of(other, ["network"], token, 30.0)))
        thread.start()
        while place.pool.log.count("event.from") < 3:
            time.sleep(0.01)
        api.network.set_name_label(place.network, "dmz")
        thread.join()
    (event,) = seen[0]["events"]
    assert event["snapshot"]["name_label"] == "dmz"


def test_the_older_event_calls(place: Place, refused: Refused) -> None:
    api = place.api
    assert refused(api.event.next)[0] == "SESSION_NOT_REGISTERED"
    api.event.register(["network"])
    api.network.set_name_label(place.network, "dmz")
    (event,) = api.event.next()
    assert event["ref"] == place.network


def test_tasks_carry_results_and_errors(place: Place, refused: Refused) -> None:
    api = place.api
    done, failed = api.Async.VM.clone(place.template, "web"), api.Async.VM.clone("OpaqueRef:no", "web")
    for task in (done, failed):
        while api.task.get_status(task) == "pending":
            time.sleep(0.01)
    (vm,) = api.VM.get_by_name_label("web")
    assert api.task.get_result(done) == f"<value>{vm}</value>"
    assert api.task.get_status(failed) == "failure"
    assert api.task.get_error_info(failed) == ["HANDLE_INVALID", "VM", "OpaqueRef:no"]
    api.task.destroy(done)
    assert refused(api.task.get_status, done)[0] == "HANDLE_INVALID"
    assert refused(api.Async.VM.get_record, vm)[0] == "INTERNAL_ERROR"
