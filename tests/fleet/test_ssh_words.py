"""State folders of any name, and keys anywhere, as ssh itself reads them."""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import UsageError
from skinnybox.fleet.ssh_words import quoted

ODD = (
    "a b",
    "100%",
    "%h",
    'q"q',
    "it's",
    "#c",
    "b\\x",
    "b\\\\y",
    "end\\",
    "t\tt",
    "n\nl",
    "$HOME",
    "=",
    "ü",
    " ",
)


@pytest.mark.parametrize("name", ODD)
def test_ssh_reads_one_path(name: str) -> None:
    path = Path("/tmp") / name / "file"
    said = run.run(["ssh", "-G", "-F", "/dev/null", "-o", f"UserKnownHostsFile={quoted(path)}", "x"]).stdout
    assert f"userknownhostsfile {path}\n".encode() in said


def test_what_ssh_cannot_write_is_refused() -> None:
    with pytest.raises(UsageError, match="for a variable"):
        quoted(Path("/tmp/${HOME}/file"))
    assert quoted(Path("/var/lib/skinnybox/ssh/id_ed25519")) == "/var/lib/skinnybox/ssh/id_ed25519"
