"""What xapi demands of parameters: types, values of an enum, live references, a constructor's fields."""

import xmlrpc.client
from typing import Any

from tests.emulators.xapi import wire
from tests.emulators.xapi.database import Database
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL, Kind
from tests.emulators.xapi.model import Message, Model

INT64 = 1 << 63


def parameters(model: Model, message: Message, given: list[Any], *, xml: bool) -> list[Any]:
    """The parameters as Python values, missing optional ones left out. Failure for a wrong number or type."""
    least = sum(each.required for each in message.params)
    if not least <= len(given) <= len(message.params):
        session = int(message.in_session)
        raise Failure(
            "MESSAGE_PARAMETER_COUNT_MISMATCH", message.full_name, least - session, len(given) - session
        )
    if message.name == "create" and message.implicit:
        values = given[1]
        return [given[0], constructor(model, message.of, values, xml=xml)]
    wanted = zip(message.params, given, strict=False)
    return [value(model, each.kind, one, each.name, xml=xml) for each, one in wanted]


def constructor(model: Model, of: str, given: Any, *, xml: bool) -> dict[str, Any]:
    """The record given to create. What the class does not have is refused here, where xapi would ignore it;
    fields that exist but are not given at creation are ignored, as by xapi."""
    if not isinstance(given, dict):
        raise Failure("FIELD_TYPE_ERROR", "__structure")
    fields = model.classes[of].fields
    unknown = given.keys() - fields.keys()
    if unknown:
        raise Failure("FIELD_TYPE_ERROR", f"{of} has no field {sorted(unknown)[0]}")
    for name, each in fields.items():
        if each.given and each.default is None and name not in given:
            raise Failure("FIELD_TYPE_ERROR", name)
    return {
        name: value(model, each.kind, given[name], name, xml=xml)
        for name, each in fields.items()
        if each.given and name in given
    }


def value(model: Model, kind: Kind, given: Any, name: str, *, xml: bool) -> Any:
    """`given` from the wire as a Python value of that kind. Failure FIELD_TYPE_ERROR, naming `name`."""
    try:
        return _value(model, kind, given, name, xml=xml)
    except (ValueError, TypeError) as error:
        raise Failure("FIELD_TYPE_ERROR", name) from error


def _value(model: Model, kind: Kind, given: Any, name: str, *, xml: bool) -> Any:
    if kind.shape == "int":
        return _integer(given, xml=xml)
    if kind.shape == "float":
        return _float(given, xml=xml)
    if kind.shape == "datetime":
        return wire.moment(given.value if isinstance(given, xmlrpc.client.DateTime) else given)
    if kind.shape == "set":
        return [value(model, kind.inner[0], each, name, xml=xml) for each in _of(list, given)]
    if kind.shape == "map":
        key, inner = kind.inner
        pairs = _of(dict, given).items()
        return {value(model, key, k, name, xml=xml): value(model, inner, v, name, xml=xml) for k, v in pairs}
    if kind.shape == "enum" and _of(str, given) not in model.enums[kind.of]:
        raise ValueError(f"{given} is not one of {kind.of}")
    return _of({"bool": bool}.get(kind.shape, str), given)


def _of(type_: type, given: Any) -> Any:
    if type(given) is not type_:
        raise TypeError(f"{given!r} is no {type_.__name__}")
    return given


def _integer(given: Any, *, xml: bool) -> int:
    """A string of digits; only JSON may write a number."""
    number: int = given if not xml and type(given) is int else int(_of(str, given))
    if not -INT64 <= number < INT64:
        raise ValueError(f"{number} does not fit 64 bits")
    return number


def _float(given: Any, *, xml: bool) -> float:
    if not xml and type(given) is int:
        return float(given)
    return float(_of(float, given))


def references(database: Database, message: Message, given: list[Any]) -> None:
    """Every reference in the parameters must be live (or null where a call allows that, which it sees to)."""
    for each, ref in zip(message.params, given, strict=False):
        if each.kind.shape == "ref" and each.name != "session_id" and ref != NULL:
            database.record(each.kind.of, ref)


def constructed(database: Database, of: str, values: dict[str, Any]) -> None:
    """The same for the references in a constructor's record."""
    for name, ref in values.items():
        kind = database.model.classes[of].fields[name].kind
        if kind.shape == "ref" and ref != NULL:
            database.record(kind.of, ref)
