"""What a master is built of, and the YAML file that says it.

suite: bookworm               # this machine's own when left out
mirror: http://deb.example/debian
sources: ["deb http://... bookworm main"]
components: [main]
packages: [apache2, php]
kernel: linux-image-cloud-amd64
slim: true                    # without documentation and translations
dax: true                     # with a second image that guests map from the host's memory
image_format: ext4            # by itself erofs, where its kernel has that
copy:
  - {source: site.conf, dest: /etc/apache2/sites-enabled/site.conf, mode: 0644, owner: root:root}
scripts:
  - a2enmod rewrite
  - {file: setup.sh}
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skinnybox import named_file
from skinnybox.errors import NotFound, UsageError
from skinnybox.model import ImageFormat, parse_reference

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:[=/][A-Za-z0-9.+~:-]+)?")
_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,63}")
_OWNER = re.compile(r"[a-z_][a-z0-9_-]*|\d+")
_URL = re.compile(r"(?:https?|file|copy)://\S+|file:/\S+")
_LINE = re.compile(r"[^\x00-\x1f\x7f]+")
_LIMIT = 1 << 20
OF_LAYERS = ("copy", "scripts")
"""What it may hold above a stack. Whatever else it says is of masters."""
HINT_OF_LAYERS = f"a layer's recipe may hold: {', '.join(OF_LAYERS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A file or folder put into the tree. `mode` None keeps the source's; `owner` is `user:group` there."""

    source: Path
    dest: str
    mode: int | None = None
    owner: str = "root:root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`suite` None is this machine's own; so are the sources without `mirror` and `sources`. `scripts` run
    inside the tree, as root, after everything is installed and copied; without `#!` it is `sh -eu`. `after`
    names the master whose account numbers it keeps; None is the newest of its name, and none if
    `unrelated`."""

    suite: str | None = None
    mirror: str | None = None
    sources: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    kernel: str | None = None
    variant: str = "minbase"
    slim: bool = False
    dax: bool = False
    image_format: ImageFormat = ImageFormat.AUTO
    copy: tuple[Copy, ...] = ()
    scripts: tuple[str, ...] = ()
    after: str | None = None
    unrelated: bool = False

    def __post_init__(self) -> None:
        """UsageError for what would be another word to the programs that build: whoever says it, a recipe,
        an option, a caller."""
        for pattern, what, values in (
            (_SUITE, "a suite, as in bookworm", (self.suite,)),
            (_URL, "a URL of a mirror", (self.mirror,)),
            (_SUITE, "a component, as in main", self.components),
            (_PACKAGE, "a package name", (*self.packages, self.kernel)),
            (_LINE, "one line", self.sources),
        ):
            for value in values:
                if value is not None and not pattern.fullmatch(value):
                    raise UsageError(f"{value!r:.80} is not {what}")
        if self.after is not None:
            parse_reference(self.after)
            if self.unrelated:
                raise UsageError("a master is unrelated to others or follows one: `after` or `unrelated`")


Reader = Callable[[yaml.Node], Any]


class _Mistakes(Exception):
    """Lines, and what is wrong there."""

    def __init__(self, found: list[tuple[int, str]]) -> None:
        super().__init__(found)
        self.found = found


def said(file: Path | None, text: str | None, *, layer: bool = False) -> Recipe:
    """By its text, where paths count from `/`, or by a file, or one that says nothing. Raises as `load`."""
    if text is not None:
        return parse(text, Path("/recipe"), layer=layer)
    return load(file, layer=layer) if file else Recipe()


def load(file: Path, *, layer: bool = False) -> Recipe:
    """Raises NotFound, and UsageError that names every mistake with its line; its hint has the keys that
    there are, those of a `layer` where it is for one."""
    try:
        text = named_file.content(file, _LIMIT).decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(f"{file}: no such recipe") from error
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    return parse(text, file, layer=layer)


def parse(text: str, file: Path, *, layer: bool = False) -> Recipe:
    """Like load; relative paths in the text count from the folder of `file`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}, line {mark.line + 1}" if mark else str(file)
        raise UsageError(
            f"{place}: {getattr(error, 'problem', None) or error}", hint="a recipe is YAML"
        ) from error
    except RecursionError as error:
        raise UsageError(f"{file}: nested too deeply", hint="a recipe is YAML") from error
    if node is None:
        return Recipe()
    readers = _readers(file.absolute().parent)
    try:
        return Recipe(**_fields(node, readers))
    except _Mistakes as mistakes:
        raise UsageError(
            "\n".join(f"{file}, line {line}: {what}" for line, what in mistakes.found),
            hint=HINT_OF_LAYERS if layer else f"a recipe may hold: {', '.join(readers)}",
        ) from mistakes


def _readers(folder: Path) -> dict[str, Reader]:
    return {
        "suite": _matching(_SUITE, "a suite, as in bookworm"),
        "mirror": _matching(_URL, "a URL of a mirror"),
        "sources": _many(_matching(_LINE, "one line")),
        "components": _many(_matching(_SUITE, "a component, as in main")),
        "packages": _many(_matching(_PACKAGE, "a package name")),
        "kernel": _matching(_PACKAGE, "a package name"),
        "variant": _one_of("minbase", "apt", "important", "standard"),
        "slim": _boolean,
        "dax": _boolean,
        "image_format": _image_format,
        "copy": _many(lambda node: _copy(node, folder)),
        "scripts": _many(lambda node: _script(node, folder)),
        "after": _reference,
        "unrelated": _boolean,
    }


def _fields(node: yaml.Node, readers: dict[str, Reader], *, needed: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, "expected `key: value` lines")
    found: dict[str, Any] = {}
    mistakes: list[tuple[int, str]] = []
    for key, value in node.value:
        try:
            name = _text(key)
            if name not in readers or name in found:
                raise _wrong(key, f"{name!r} is {'given twice' if name in found else 'not known here'}")
            found[name] = readers[name](value)
        except _Mistakes as more:
            mistakes += more.found
    missing = [key for key in needed if key not in (key.value for key, _ in node.value)]
    if missing:
        mistakes.append((node.start_mark.line + 1, f"{' and '.join(missing)} missing"))
    if mistakes:
        raise _Mistakes(mistakes)
    return found


def _many(read: Reader) -> Reader:
    def all_of(node: yaml.Node) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise _wrong(node, "expected a list")
        found: list[Any] = []
        mistakes: list[tuple[int, str]] = []
        for item in node.value:
            try:
                found.append(read(item))
            except _Mistakes as more:
                mistakes += more.found
        if mistakes:
            raise _Mistakes(mistakes)
        return tuple(found)

    return all_of


def _wrong(node: yaml.Node, what: str) -> _Mistakes:
    return _Mistakes([(node.start_mark.line + 1, what)])


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise _wrong(node, "expected a text")
    return str(node.value)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[yaml.Node], str]:
    def read(node: yaml.Node) -> str:
        text = _text(node)
        if not pattern.fullmatch(text):
            raise _wrong(node, f"{text!r} is not {what}")
        return text

    return read


def _one_of(*known: str) -> Callable[[yaml.Node], str]:
    return _matching(re.compile("|".join(known)), f"one of {', '.join(known)}")


def _boolean(node: yaml.Node) -> bool:
    return _one_of("true", "false")(node) == "true"


def _image_format(node: yaml.Node) -> ImageFormat:
    return ImageFormat(_one_of(*ImageFormat)(node))


def _mode(node: yaml.Node) -> int:
    return int(
        _matching(re.compile(r"(?:0o)?[0-7]{3,5}"), "an octal mode, as in 0644")(node).removeprefix("0o"), 8
    )


def _owner(node: yaml.Node) -> str:
    return _matching(re.compile(f"(?:{_OWNER.pattern})(?::(?:{_OWNER.pattern}))?"), "user:group")(node)


def _dest(node: yaml.Node) -> str:
    text = _matching(re.compile(r"/[^\0]+"), "an absolute path")(node)
    if ".." in text.split("/"):
        raise _wrong(node, f"{text!r} has .. in it")
    return text


def _existing(node: yaml.Node, folder: Path) -> Path:
    path = folder / _text(node)
    try:
        found = path.exists()
    except OSError as error:
        raise _wrong(node, f"{path}: {error.strerror}") from error
    if not found:
        raise _wrong(node, f"{path} does not exist")
    return path


def _copy(node: yaml.Node, folder: Path) -> Copy:
    readers: dict[str, Reader] = {
        "source": lambda value: _existing(value, folder),
        "dest": _dest,
        "mode": _mode,
        "owner": _owner,
    }
    return Copy(**_fields(node, readers, needed=("source", "dest")))


def _reference(node: yaml.Node) -> str:
    text = _text(node)
    try:
        parse_reference(text)
    except UsageError as error:
        raise _wrong(node, error.message) from error
    return text


def _script(node: yaml.Node, folder: Path) -> str:
    if isinstance(node, yaml.ScalarNode):
        return _text(node)
    found = _fields(node, {"file": lambda value: _existing(value, folder)}, needed=("file",))
    file: Path = found["file"]
    try:
        return named_file.content(file, _LIMIT).decode()
    except OSError as error:
        raise _wrong(node, f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _wrong(node, f"{file} cannot be read as text: {error}") from error
