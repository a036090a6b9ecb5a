"""What every call has to pass: the data model, sessions, roles, slaves; in both protocols."""

import json
import ssl
import urllib.request
import xmlrpc.client
from collections.abc import Callable
from typing import Any

import pytest
import XenAPI

from tests.emulators.xapi import PASSWORD, EmulatedPool
from tests.emulators.xapi.model import load
from tests.xapi import records
from tests.xapi.conftest import Place

Refused = Callable[..., list[str]]


def test_what_the_data_model_does_not_have_is_refused(place: Place, refused: Refused) -> None:
    api = place.api
    assert refused(api.VM.begin, "x") == ["MESSAGE_METHOD_UNKNOWN", "VM.begin"]
    assert refused(api.VM.start, "x")[:2] == ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.start"]
    assert refused(api.VM.start, "OpaqueRef:no", False, False) == ["HANDLE_INVALID", "VM", "OpaqueRef:no"]
    assert refused(api.VM.start, place.template, "no", False) == ["FIELD_TYPE_ERROR", "start_paused"]
    assert refused(api.VM.get_by_uuid, "no")[0] == "UUID_INVALID"
    assert refused(api.VM.get_is_vmss_snapshots, place.template)[0] == "MESSAGE_METHOD_UNKNOWN"


def test_a_removed_call_is_refused(place: Place, refused: Refused) -> None:
    model = load()
    gone = [
        each for one in model.classes.values() for each in one.messages.values() if each.state == "removed"
    ]
    assert len(gone) > 50
    found = next(each for each in gone if each.full_name.startswith("VM."))
    call = getattr(place.api.VM, found.name)
    values = {"ref": place.template, "string": "", "int": "0", "bool": False, "float": 0.0}
    params = [values.get(each.kind.shape, {}) for each in found.params[1:]]
    assert refused(call, *params) == ["MESSAGE_REMOVED"]


def test_integers_are_strings_of_digits(place: Place, refused: Refused) -> None:
    number = {**records.disk(place.thin, 1 << 20), "virtual_size": 1 << 20}
    assert refused(place.api.VDI.create, number) == ["FIELD_TYPE_ERROR", "virtual_size"]
    assert place.api.VM.get_VCPUs_max(place.template) == "1"


@pytest.mark.parametrize("left_out", ["SR", "virtual_size", "type", "sharable", "read_only", "other_config"])
def test_a_constructor_wants_its_arguments(place: Place, refused: Refused, left_out: str) -> None:
    values = {key: value for key, value in records.disk(place.thin, 1 << 20).items() if key != left_out}
    assert refused(place.api.VDI.create, values) == ["FIELD_TYPE_ERROR", left_out]


def test_a_constructor_wants_no_more(place: Place, refused: Refused) -> None:
    values = {**records.disk(place.thin, 1 << 20), "colour": "red"}
    assert refused(place.api.VDI.create, values)[0] == "FIELD_TYPE_ERROR"
    values = {**records.disk(place.thin, 1 << 20), "type": "system disk"}
    assert refused(place.api.VDI.create, values) == ["FIELD_TYPE_ERROR", "type"]


def test_roles_are_those_of_the_model(place: Place, refused: Refused) -> None:
    place.pool.add_user("anna", "a", "vm-admin")
    with place.pool.session("anna", "a") as anna:
        vm = anna.VM.clone(place.template, "hers")
        denied = refused(anna.SR.scan, place.thin)
        assert denied[:2] == ["RBAC_PERMISSION_DENIED", "sr.scan"] and "vm-power-admin" in denied[2]
        assert (
            refused(anna.host.call_plugin, place.pool.hosts[0], "p", "f", {})[0] == "RBAC_PERMISSION_DENIED"
        )
    place.pool.add_user("otto", "o", "read-only")
    with place.pool.session("otto", "o") as otto:
        assert otto.VM.get_name_label(vm) == "hers"
        assert refused(otto.VM.start, vm, False, False)[0] == "RBAC_PERMISSION_DENIED"


def test_a_wrong_password_opens_nothing(bare_pool: EmulatedPool) -> None:
    session = XenAPI.Session(bare_pool.url)
    with pytest.raises(XenAPI.Failure) as caught:
        session.xenapi.login_with_password("root", "wrong")
    session("close")()
    assert caught.value.details[0] == "SESSION_AUTHENTICATION_FAILED"
    assert "wrong" not in str(bare_pool.log.entries)


def test_a_slave_names_its_master(bare_pool: EmulatedPool) -> None:
    session = XenAPI.Session(bare_pool.url_of(1))
    with pytest.raises(XenAPI.Failure) as caught:
        session.xenapi.login_with_password("root", PASSWORD)
    session("close")()
    assert caught.value.details == ["HOST_IS_SLAVE", "127.0.0.1"]


def test_a_session_ends_by_logout_and_by_expiry(bare_pool: EmulatedPool) -> None:
    server = xmlrpc.client.ServerProxy(bare_pool.url)
    for expires in (False, True):
        answer: Any = server.session.login_with_password("root", PASSWORD, "1.0", "me")
        handle = answer["Value"]
        assert server.VM.get_all(handle)["Status"] == "Success"  # type: ignore[index, call-overload]
        bare_pool.expire_sessions() if expires else server.session.logout(handle)
        answer = server.VM.get_all(handle)
        assert answer["ErrorDescription"] == ["SESSION_INVALID", handle]
    server("close")()


def ask(pool: EmulatedPool, call: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"{pool.url}/jsonrpc", json.dumps(call).encode())
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read())


def test_json_rpc_of_both_versions(bare_pool: EmulatedPool) -> None:
    login = {"method": "session.login_with_password", "params": ["root", PASSWORD], "id": 1}
    two = ask(bare_pool, {**login, "jsonrpc": "2.0"})
    assert two.keys() == {"jsonrpc", "result", "id"}
    one = ask(bare_pool, login)
    assert one["error"] is None and one["id"] == 1
    host = ask(
        bare_pool, {"method": "host.get_record", "params": [one["result"], bare_pool.hosts[0]], "id": 2}
    )
    assert host["result"]["API_version_major"] == 2
    call = {"method": "VM.start", "params": [two["result"], "no", False, False], "id": 3}
    assert ask(bare_pool, call)["error"] == ["HANDLE_INVALID", "VM", "no"]
    error = {"code": 1, "message": "HANDLE_INVALID", "data": ["VM", "no"]}
    assert ask(bare_pool, {**call, "jsonrpc": "2.0"})["error"] == error


def test_https_with_the_pools_own_certificate(bare_pool: EmulatedPool) -> None:
    context = ssl.create_default_context(cafile=str(bare_pool.certificate))
    server = xmlrpc.client.ServerProxy(bare_pool.tls_url, context=context)
    answer: Any = server.session.login_with_password("root", PASSWORD)
    assert answer["Status"] == "Success"
    server("close")()
    stranger = xmlrpc.client.ServerProxy(bare_pool.tls_url)
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.session.login_with_password("root", PASSWORD)
    stranger("close")()


def test_every_class_can_be_read_whole(place: Place) -> None:
    place.machine()
    for name, one in load().classes.items():
        if "get_all_records" in one.messages and one.messages["get_all_records"].state != "removed":
            answer = getattr(place.api, name).get_all_records()
            assert set(answer) == set(getattr(place.api, name).get_all())
            known = {each.name for each in one.fields.values() if not each.removed}
            assert all(set(record) == known for record in answer.values())
