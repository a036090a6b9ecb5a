"""Values on the wire: XML-RPC as xapi speaks it (integers are strings of digits) and JSON-RPC 1.0 and 2.0."""

import datetime
import json
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from tests.emulators.xapi.kinds import Kind
from tests.emulators.xapi.model import Model

CALL_ERRORS = (ExpatError, ValueError, TypeError, KeyError, xmlrpc.client.Error)


class Int32(int):
    """A true integer also in XML-RPC (`i4`): only event.from's valid_ref_counts are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`id` is JSON-RPC's; `dialect` is "xml", "json1" or "json2"."""

    method: str
    params: list[Any]
    dialect: str
    id: Any = None


def plain(model: Model, kind: Kind, value: Any, *, xml: bool) -> Any:
    """A result of that kind as nested str, bool, float, Int32, dict, list (and int, where not `xml`)."""
    if kind.shape == "int":
        return str(value) if xml else int(value)
    if kind.shape == "datetime":
        return xmlrpc.client.DateTime(stamp(value)) if xml else stamp(value)
    if kind.shape == "set":
        return [plain(model, kind.inner[0], each, xml=xml) for each in value]
    if kind.shape == "map":
        inner = kind.inner[1]
        return {str(key): plain(model, inner, each, xml=xml) for key, each in value.items()}
    if kind.shape == "record":
        return record(model, kind.of, value, xml=xml)
    return "" if kind.shape == "void" else value


def record(model: Model, of: str, values: dict[str, Any], *, xml: bool) -> dict[str, Any]:
    fields = model.classes[of].fields
    return {
        name: value if isinstance(value, str) else plain(model, fields[name].kind, value, xml=xml)
        for name, value in values.items()
        if not fields[name].removed
    }


def stamp(moment: datetime.datetime) -> str:
    return moment.strftime("%Y%m%dT%H:%M:%SZ")


def moment(text: str) -> datetime.datetime:
    """ValueError for what is no date."""
    form = "%Y-%m-%dT%H:%M:%SZ" if "-" in text else "%Y%m%dT%H:%M:%SZ"
    return datetime.datetime.strptime(text if text.endswith("Z") else f"{text}Z", form).replace(
        tzinfo=datetime.UTC
    )


def xml_value(value: Any) -> str:
    """One `<value>`, strings bare as xapi writes them."""
    parts: list[str] = []
    _write(value, parts.append)
    return "".join(parts)


def _write(value: Any, out: Callable[[str], object]) -> None:
    if isinstance(value, str):
        out(f"<value>{escape(value)}</value>")
    elif isinstance(value, bool):
        out(f"<value><boolean>{int(value)}</boolean></value>")
    elif isinstance(value, int):
        out(f"<value><i4>{value}</i4></value>")
    elif isinstance(value, float):
        out(f"<value><double>{value!r}</double></value>")
    elif isinstance(value, xmlrpc.client.DateTime):
        out(f"<value><dateTime.iso8601>{value.value}</dateTime.iso8601></value>")
    else:
        _write_nested(value, out)


def _write_nested(value: Any, out: Callable[[str], object]) -> None:
    if isinstance(value, dict):
        out("<value><struct>")
        for name, each in value.items():
            out(f"<member><name>{escape(name)}</name>")
            _write(each, out)
            out("</member>")
        out("</struct></value>")
        return
    out("<value><array><data>")
    for each in value:
        _write(each, out)
    out("</data></array></value>")


def read_xml(body: bytes) -> Request:
    """One of CALL_ERRORS for what is no call."""
    params, method = xmlrpc.client.loads(body)
    if method is None:
        raise ValueError("not a methodCall")
    return Request(method=method, params=list(params), dialect="xml")


def read_json(body: bytes) -> Request:
    call = json.loads(body)
    dialect = "json2" if call.get("jsonrpc") == "2.0" else "json1"
    params = call["params"]
    if not isinstance(params, list) or call["id"] is None:
        raise ValueError("params must be an array and id must be given")
    return Request(method=str(call["method"]), params=params, dialect=dialect, id=call["id"])


def answer(request: Request, value: Any) -> bytes:
    """Success; `value` is plain."""
    if request.dialect == "xml":
        if request.method == "system.listMethods":
            return _response(xml_value(value))
        return _response(xml_value({"Status": "Success", "Value": value}))
    if request.dialect == "json2":
        return _json({"jsonrpc": "2.0", "result": value, "id": request.id})
    return _json({"result": value, "error": None, "id": request.id})


def refusal(request: Request, details: list[str]) -> bytes:
    if request.dialect == "xml":
        return _response(xml_value({"Status": "Failure", "ErrorDescription": details}))
    if request.dialect == "json2":
        error = {"code": 1, "message": details[0], "data": details[1:]}
        return _json({"jsonrpc": "2.0", "error": error, "id": request.id})
    return _json({"result": None, "error": details, "id": request.id})


def _response(value: str) -> bytes:
    params = f"<params><param>{value}</param></params>"
    return f'<?xml version="1.0"?><methodResponse>{params}</methodResponse>'.encode()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
