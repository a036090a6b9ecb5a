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


def to_record(instance: Instance) -> dict[str, Any]:
    """Plain values for json.dumps; bytes as base64. `sum` is over all the others."""
    values = {"format": FORMAT, **INSTANCE.plain(instance)}
    values["sum"] = _sum(values)
    return values


def _sum(values: Mapping[str, Any]) -> str:
    """Shows every flipped bit, in whatever order and spelling the values were written."""
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"


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
