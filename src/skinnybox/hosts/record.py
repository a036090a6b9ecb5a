"""An instance as JSON: what lies beside each overlay and in the catalog. See formats.py.

Which fields there are says the table of model/fields.py.
"""

import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from skinnybox import formats
from skinnybox.errors import Corrupt
from skinnybox.model import Instance
from skinnybox.model.fields import INSTANCE

FORMAT = 1
_SORTED = json.JSONEncoder(sort_keys=True).encode


def to_text(instance: Instance) -> str:
    """A record as it is kept: JSON on one line, `sum` last, which is over all the others."""
    values = _SORTED({"format": FORMAT, **INSTANCE.plain(instance)})
    return f'{values[:-1]}, "sum": "{_sum_of(values)}"}}'


def to_record(instance: Instance) -> dict[str, Any]:
    """The same as plain values for json.dumps; bytes as base64."""
    values = {"format": FORMAT, **INSTANCE.plain(instance)}
    values["sum"] = _sum(values)
    return values


def _sum(values: Mapping[str, Any]) -> str:
    """Shows every flipped bit, in whatever order and spelling the values were written."""
    return _sum_of(_SORTED(values))


def _sum_of(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def from_record(record: Mapping[str, Any]) -> Instance:
    """Raises Corrupt when it is not a record, Unsupported when it needs a later format."""
    formats.check(record, FORMAT, "an instance's record")
    # The first version wrote no sum.
    if "sum" in record and record["sum"] != _sum({key: record[key] for key in record if key != "sum"}):
        raise Corrupt("an instance's record is damaged: its sum is another")
    try:
        found: Instance = INSTANCE.value(record)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, binascii.Error) as error:
        raise Corrupt(f"an instance's record is damaged: {type(error).__name__} {error}") from error
    return found
