"""Files into a machine and out of it, with the ssh server that it really runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from tests.boot.conftest import Create
from tests.fleet.test_cp import EVERY_BYTE, listing, tree

Up = Callable[[str], MachineView]
Sh = Callable[[str, str], str]


def test_files_go_in_and_out(fleet: Fleet, create: Create, up: Up, sh: Sh, tmp_path: Path) -> None:
    create("copies")
    up("copies")
    wanted = listing(tree(tmp_path / "tree"))
    fleet.remote.send("copies", [tmp_path / "tree"], "/srv", recursive=True)
    assert sh("copies", "stat -c '%a %U %s' /srv/tree/run.sh; ls -A /srv; readlink /srv/tree/sub/up") == (
        "751 root 10\ntree\n../every\n"
    )
    fleet.remote.fetch("copies", ["/srv/tree"], tmp_path / "back", recursive=True)
    assert listing(tmp_path / "back") == wanted
    fleet.remote.send("copies", [tmp_path / "tree/every"], "")  # to the home of its user
    fleet.remote.fetch("copies", ["every"], tmp_path / "every")
    assert (tmp_path / "every").read_bytes() == EVERY_BYTE
    fleet.remote.fetch("copies", ["/proc/version"], tmp_path)  # which says that it is empty
    assert (tmp_path / "version").read_text() == sh("copies", "cat /proc/version")
    with pytest.raises(Conflict, match="exists already"):
        fleet.remote.send("copies", [tmp_path / "tree"], "/srv", recursive=True)
    assert sh("copies", "ls -A /srv; find / -xdev -name '*.part'") == "tree\n"
