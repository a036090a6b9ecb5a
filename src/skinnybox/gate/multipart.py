"""A form with files as it comes (RFC 7578), taken apart piece by piece: none of it is kept here."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from skinnybox.errors import UsageError
from skinnybox.printable import printable

MULTIPART = "multipart/form-data"
_LONGEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A part of this name begins. `file` is what whoever sends it calls it, None of a field; "" where a
    browser says that no file was chosen."""

    name: str
    file: str | None


@dataclass(frozen=True, slots=True)
class End:
    """Of the part."""


Event = Begin | bytes | End


@dataclass(slots=True)
class _Header:
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)


class Parts:
    """What has come is told by `take`; `finish` raises UsageError where it was cut off."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind.decode("latin-1").lower() != MULTIPART or not boundary or len(boundary) > _LONGEST:
            raise UsageError(f"what is sent is no {MULTIPART}")
        self._found: list[Event] = []
        self._header = _Header()
        self._disposition = b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._header.name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header.value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": lambda data, start, end: self._found.append(data[start:end]),
                "on_part_end": lambda: self._found.append(End()),
                "on_end": self._end,
            },
        )

    def take(self, piece: bytes) -> list[Event]:
        """UsageError for what is no such form."""
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise UsageError("what is sent is no proper form with files") from error
        found, self._found = self._found, []
        return found

    def finish(self) -> None:
        if not self._ended:
            raise UsageError("the form that was sent is cut off")

    def _part_begin(self) -> None:
        self._header, self._disposition = _Header(), b""

    def _header_end(self) -> None:
        if self._header.name.lower() == b"content-disposition":
            self._disposition = bytes(self._header.value)
        self._header = _Header()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise UsageError("a part of the form has no name")
        name, file = options[b"name"].decode("utf-8", "replace"), options.get(b"filename")
        self._found.append(Begin(name=name, file=None if file is None else _called(file)))

    def _end(self) -> None:
        self._ended = True


def _called(file: bytes) -> str:
    """The last part of it, which is no path of ours."""
    last = PurePosixPath(file.decode("utf-8", "replace").replace("\\", "/")).name
    return printable(last)[:_LONGEST]
