"""Make model.json.gz, once, from the published data model of XenAPI.

    python tests/emulators/xapi/derive.py xenapi.json xapi_errors.json

`xenapi.json` is xapi-project.github.io `_data/xenapi.json` (generated from xapi-project/xen-api, here the
state of 2026-08-12), `xapi_errors.json` maps each error code to the names of its parameters. Descriptions
are left out.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

STATES = {
    "Published_s": "",
    "Prototyped_s": "prototyped",
    "Deprecated_s": "deprecated",
    "Removed_s": "removed",
}


def field(entry: dict[str, Any]) -> list[str | None]:
    return [entry["type"], entry["qualifier"], entry.get("default"), STATES[entry["lifecycle"]["state"]]]


def message(entry: dict[str, Any]) -> list[Any]:
    parameters = [[each["name"], each["type"], each["required"]] for each in entry["params"]]
    state = STATES[entry["lifecycle"]["state"]]
    return [entry["result"][0], parameters, entry["roles"], entry["implicit"], state]


def one_class(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "fields": {each["name"]: field(each) for each in entry["fields"]},
        "messages": {each["name"]: message(each) for each in entry["messages"]},
        "enums": {each["name"]: [value["name"] for value in each["values"]] for each in entry["enums"]},
    }


def main(classes: Path, errors: Path) -> None:
    table = {
        "source": "xapi-project/xapi-project.github.io _data/xenapi.json of 2026-08-12",
        "classes": {each["name"]: one_class(each) for each in json.loads(classes.read_text())},
        "errors": {code: each["params"] for code, each in json.loads(errors.read_text()).items()},
    }
    packed = gzip.compress(json.dumps(table, separators=(",", ":")).encode(), mtime=0)
    Path(__file__).with_name("model.json.gz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
