"""Values: classes as `dataclasses.dataclass` makes them, that cost next to nothing until one of them is made.

The library writes six methods for each class and compiles them one by one (0.45 ms), and imports `inspect`
before the first (6 ms). That was a third of a short command, which makes values of a few of its classes only.
Here a class gets its slots, and methods that read them; its `__init__` is written when its first value is
made. To the type checker they are the library's, and so they are to `dataclasses.fields` and `asdict`.

What `list`, `create` or completion import takes `dataclass` from here; tests/unit/test_starting holds them to
it. What needs more than is here (what can change, an order, defaults that are made) takes the library's.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace

_NO_DEFAULT: Any = object()
_OF_NO_SLOTS = ("__dict__", "__weakref__")
_OF_LIBRARY = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")


class _Field(NamedTuple):
    annotation: Any
    default: Any
    kw_only: bool


_fields: dict[type, Mapping[str, _Field]] = {}
"""Of each class that was made here, with those of its bases, in the order of `__init__`."""


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
) -> Callable[[type], type]:
    if not frozen:
        raise TypeError("a value is frozen; the library makes what is not")

    def declared(plain: type) -> type:
        own = {
            name: _Field(annotation, plain.__dict__.get(name, _NO_DEFAULT), kw_only)
            for name, annotation in plain.__annotations__.items()
        }
        for name, field in own.items():
            if field.default.__hash__ is None:
                raise ValueError(f"{name}: one {field.default!r} for all of them, and it can change")
        inherited = {name: field for base in plain.__mro__[:0:-1] for name, field in _of(base).items()}
        methods = {**_SHARED, **(_compared(inherited | own) if eq else {})}
        if slots:
            methods["__slots__"] = tuple(name for name in own if name not in inherited)
        return _made_anew(plain, {**inherited, **own}, methods)

    return declared


def _made_anew(plain: type, fields: Mapping[str, _Field], methods: Mapping[str, Any]) -> type:
    """The same class with these methods, where it has none of its own, and slots: a class can be given those
    only when it is made."""
    left_out = {*fields, *_OF_NO_SLOTS}
    kept = {name: value for name, value in plain.__dict__.items() if name not in left_out}
    made = type(plain)(plain.__name__, plain.__bases__, {**methods, **kept})
    made.__qualname__ = plain.__qualname__
    _fields[made] = fields
    return made


def _compared(fields: Mapping[str, _Field]) -> dict[str, Any]:
    read: Callable[[object], Any] = attrgetter(*fields) if fields else type

    def __eq__(self: object, other: object) -> Any:
        return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:
        return hash(read(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _refuse_setting(self: object, name: str, value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(self: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _repr(self: object) -> str:
    said = (f"{name}={getattr(self, name)!r}" for name in _of(_made_here(type(self))))
    return f"{type(self).__qualname__}({', '.join(said)})"


def _write_init(self: object, /, *given: Any, **named: Any) -> None:
    """The `__init__` of a class of which there was no value yet: it writes the one of all others."""
    made = _made_here(type(self))
    init = _written(made)
    setattr(made, init.__name__, init)
    init(self, *given, **named)


def _written(made: type) -> Callable[..., None]:
    fields, default = _of(made), defaults(made)
    by_name = [name for name, field in fields.items() if field.kw_only]
    parameters = [*(name for name in fields if name not in by_name), *["*"][: len(by_name)], *by_name]
    said = (f"{name}=_default[{name!r}]" if name in default else name for name in parameters)
    setters = {f"_set_{name}": getattr(made, name).__set__ for name in fields if hasattr(made, name)}
    lines = [
        f"_set_{name}(self, {name})" if f"_set_{name}" in setters else f"self.__dict__[{name!r}] = {name}"
        for name in fields
    ]
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    namespace: dict[str, Any] = {"_default": default, **setters}
    exec(f"def __init__(self, {', '.join(said)}):\n " + "\n ".join(lines or ["pass"]), namespace)
    init: Callable[..., None] = namespace["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


class _OfLibrary:
    """What the library knows a class of its own by, made when it asks for that."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, _value: object, cls: type) -> Any:
        import dataclasses

        made = _made_here(cls)
        fields = [
            (name, of.annotation, dataclasses.field(kw_only=of.kw_only, **_said(of)))
            for name, of in _of(made).items()
        ]
        model = dataclasses.make_dataclass(made.__name__, fields, frozen=True)
        for name in _OF_LIBRARY:
            setattr(made, name, getattr(model, name))
        return getattr(made, self._name)


def _said(field: _Field) -> dict[str, Any]:
    return {} if field.default is _NO_DEFAULT else {"default": field.default}


_SHARED: Mapping[str, Any] = {
    "__init__": _write_init,
    "__repr__": _repr,
    "__setattr__": _refuse_setting,
    "__delattr__": _refuse_deleting,
    **{name: _OfLibrary(name) for name in _OF_LIBRARY},
}


def names(cls: type) -> tuple[str, ...]:
    """Of the fields of a class that was made here."""
    return tuple(_fields[cls])


def defaults(cls: type) -> dict[str, Any]:
    """Of those of them that have one."""
    return {name: field.default for name, field in _fields[cls].items() if field.default is not _NO_DEFAULT}


def _of(cls: type) -> Mapping[str, _Field]:
    return _fields.get(cls, {})


def _made_here(cls: type) -> type:
    """The one among a class and its bases."""
    return next(base for base in cls.__mro__ if base in _fields)


def _replace(value: Any, /, **changes: Any) -> Any:
    if type(value) not in _fields:
        import dataclasses

        return dataclasses.replace(value, **changes)
    for name in _of(type(value)):
        if name not in changes:
            changes[name] = getattr(value, name)
    return type(value)(**changes)


if not TYPE_CHECKING:
    dataclass, replace = _dataclass, _replace
