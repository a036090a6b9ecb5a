"""What templates of a group make for each of its machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skinnybox.errors import UsageError
from skinnybox.fleet.spec.marked import Trail
from skinnybox.fleet.spec.parts import FromFile, SeededFile, Template, text_of
from skinnybox.fleet.spec.templates import Row, Table, filled, table_of, values_of
from skinnybox.fleet.specification import Specification
from skinnybox.model import SeedFile, check_name
from skinnybox.sizes import MIB, format_size

MOST_MADE = 256 * MIB
"""Bytes that the templates of one fleet file may make: a few lines must not mean a full memory."""


@dataclass(frozen=True, slots=True)
class Unfilled:
    """What is wrong with what stands at the end of this trail, below the group or `defaults`."""

    trail: Trail
    what: str


class Filling:
    """Of one fleet file: it counts what is made of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, Table] = {}
        self._made = 0

    def values(self, names: Sequence[str], table: Table | FromFile | None) -> list[Row]:
        """For each machine of a group, what templates may name. UsageError for a CSV that is none."""
        rows = self._table(table.file) if isinstance(table, FromFile) else table or {}
        return [values_of(name, index, rows.get(name, {})) for index, name in enumerate(names, 1)]

    def _table(self, file: str) -> Table:
        if file not in self._tables:
            try:
                self._tables[file] = table_of(text_of(FromFile.model_construct(file=file), self._folder))
            except (ValueError, UsageError) as error:
                raise UsageError(f"{file}: {error}") from error
        return self._tables[file]

    def machine(
        self, common: Specification, said: Mapping[str, Any], row: Row, wrong: list[Unfilled]
    ) -> Specification:
        """`common` as it is for one machine; the very same where nothing is filled in. What cannot be is
        added to `wrong`."""
        changes: dict[str, Any] = {}
        files = said.get("files") or ()
        if any(file.template for file in files):
            pairs = enumerate(zip(files, common.files, strict=True))
            changes["files"] = tuple(
                self._file(("files", number), file, made, row, wrong) if file.template else made
                for number, (file, made) in pairs
            )
        if isinstance(said.get("run_once"), Template):
            changes["run_once"] = self._text(("run_once",), common.run_once or "", row, wrong)
        if common.hostname is not None:
            changes["hostname"] = self._text(("hostname",), common.hostname, row, wrong)
        return replace(common, **changes) if changes else common

    def _file(
        self, trail: Trail, file: SeededFile, made: SeedFile, row: Row, wrong: list[Unfilled]
    ) -> SeedFile:
        path = self._text((*trail, "target"), made.path, row, wrong)
        key = "content" if file.source is None else "source"
        try:
            content = made.content.decode()
        except UnicodeDecodeError:
            wrong.append(Unfilled((*trail, key), f"{file.source} is not a text: it is no template"))
            return made
        content = self._text((*trail, key), content, row, wrong)
        return replace(made, path=path, content=content.encode())

    def _text(self, trail: Trail, text: str, row: Row, wrong: list[Unfilled]) -> str:
        """Itself after a mistake."""
        try:
            made = filled(text, row)
            self._made += len(made)
            if self._made > MOST_MADE:
                raise UsageError(f"templates of this file make more than {format_size(MOST_MADE)}")
            return check_name(made) if trail == ("hostname",) else made
        except UsageError as error:
            wrong.append(Unfilled(trail, error.message))
            return text
