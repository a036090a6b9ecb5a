"""The calls every class has, derived from the model: get_record, get_all..., getters and setters."""

from collections.abc import Callable
from typing import Any

from tests.emulators.xapi import where
from tests.emulators.xapi.context import Call
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.model import Field, Message

Answer = Callable[..., Any]
_PREFIXES = ("remove_from_", "add_to_", "remove_", "get_", "set_", "add_")


def handler(call: Call, message: Message) -> Answer | None:
    """What answers `message`; None when nothing here can."""
    whole: dict[str, Answer] = {
        "get_record": record,
        "get_all": all_references,
        "get_all_records": all_records,
        "get_all_records_where": all_records_where,
        "get_all_where": all_where,
        "get_by_uuid": by_uuid,
        "get_by_name_label": by_name_label,
    }
    found = whole.get(message.name)
    if found:
        return lambda *params: found(call, message, *params)
    return _of_field(call, message)


def _of_field(call: Call, message: Message) -> Answer | None:
    fields = call.xapi.model.classes[message.of].fields
    for prefix in _PREFIXES:
        field = fields.get(message.name.removeprefix(prefix))
        if message.name.startswith(prefix) and field:
            answer = _ANSWERS[prefix]
            return lambda *params: answer(call, message.of, field, *params)
    return None


def record(call: Call, message: Message, ref: str) -> Any:
    return call.database.record(message.of, ref)


def all_references(call: Call, message: Message) -> list[str]:
    return list(call.database.tables[message.of])


def all_records(call: Call, message: Message) -> Any:
    return call.database.tables[message.of]


def all_records_where(call: Call, message: Message, expression: str) -> Any:
    test = where.parse(call.xapi.model.classes[message.of], expression)
    return {ref: each for ref, each in call.database.tables[message.of].items() if test(each)}


def all_where(call: Call, message: Message, expression: str) -> list[str]:
    return list(all_records_where(call, message, expression))


def by_uuid(call: Call, message: Message, uuid: str) -> str:
    return call.database.by_uuid(message.of, uuid)


def by_name_label(call: Call, message: Message, label: str) -> list[str]:
    return [ref for ref, _ in call.database.where(message.of, name_label=label)]


def _get(call: Call, of: str, field: Field, ref: str) -> Any:
    return call.database.get(of, ref, field.name)


def _set(call: Call, of: str, field: Field, ref: str, value: Any) -> None:
    call.database.set(of, ref, field.name, value)


def _add_to(call: Call, of: str, field: Field, ref: str, key: str, value: Any) -> None:
    if key in call.database.get(of, ref, field.name):
        uuid = call.database.get(of, ref, "uuid")
        raise Failure("MAP_DUPLICATE_KEY", of, field.name, uuid, key)
    call.database.put(of, ref, field.name, key, value)


def _remove_from(call: Call, of: str, field: Field, ref: str, key: str) -> None:
    call.database.put(of, ref, field.name, key, None)


def _add(call: Call, of: str, field: Field, ref: str, value: Any) -> None:
    held = call.database.get(of, ref, field.name)
    if value not in held:
        call.database.set(of, ref, field.name, [*held, value])


def _remove(call: Call, of: str, field: Field, ref: str, value: Any) -> None:
    held = call.database.get(of, ref, field.name)
    call.database.set(of, ref, field.name, [each for each in held if each != value])


_ANSWERS: dict[str, Answer] = {
    "get_": _get,
    "set_": _set,
    "add_to_": _add_to,
    "remove_from_": _remove_from,
    "add_": _add,
    "remove_": _remove,
}
