"""What is known of a machine that is made a master: who it is and what its seed said, to leave that out."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from skinnybox.delta import as_seeded
from skinnybox.delta.as_seeded import Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """`names` are hostnames; `passwords` the hashes that its seed gave, by account; `files` the paths of the
    seed's files; `expected` as delta.seed_marks says. `keep` and `leave_out` are what was asked for: paths,
    each for all below it; of a layer also `paths`, the only ones looked at. No path has a leading slash."""

    names: frozenset[bytes]
    passwords: Mapping[bytes, bytes]
    files: frozenset[bytes]
    expected: Expected
    keep: tuple[bytes, ...] = ()
    leave_out: tuple[bytes, ...] = ()
    paths: tuple[bytes, ...] = ()


def encode(whose: Whose) -> bytes:
    """For another process of ours."""
    told = {
        "names": [_text(name) for name in sorted(whose.names)],
        "passwords": {_text(name): _text(value) for name, value in whose.passwords.items()},
        "files": [_text(path) for path in sorted(whose.files)],
        "expected": base64.b64encode(as_seeded.encode(whose.expected)).decode(),
        "keep": [_text(path) for path in whose.keep],
        "leave_out": [_text(path) for path in whose.leave_out],
        "paths": [_text(path) for path in whose.paths],
    }
    return json.dumps(told).encode()


def decode(text: bytes) -> Whose:
    told = json.loads(text)
    return Whose(
        names=frozenset(map(_raw, told["names"])),
        passwords={_raw(name): _raw(value) for name, value in told["passwords"].items()},
        files=frozenset(map(_raw, told["files"])),
        expected=as_seeded.decode(base64.b64decode(told["expected"])),
        keep=tuple(map(_raw, told["keep"])),
        leave_out=tuple(map(_raw, told["leave_out"])),
        paths=tuple(map(_raw, told["paths"])),
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
