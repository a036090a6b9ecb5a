"""What the gate of a rebase says of what dpkg and apt say; tests/boot has it with the real ones."""

import re
from pathlib import Path

import pytest

from tests.guest.conftest import GUEST, Shell

CONFIGURED = """Setting up other (1) ...
Setting up attr (2) ...
no luck
dpkg: error processing package attr (--configure):
 installed attr package post-installation script subprocess returned error exit status 1
Errors were encountered while processing:
 attr
"""


def function(name: str) -> str:
    text = (GUEST / "appliance/gate").read_text()
    return text[text.index(f"{name}() {{") :].partition("\n}\n")[0] + "\n}\n"


def said(shell: Shell, tmp_path: Path, script: str, *names: str, inside: str = ":") -> list[str]:
    functions = "".join(map(function, ("at", "worse", *names)))
    begin = f"SAID={tmp_path} MOST_LINES=60 MOST_PATHS=1000\ninside() {{ {inside}; }}\n"
    ended = shell("", f"{begin}{functions}{script}")
    assert ended.code == 0
    return ended.out.splitlines()


def test_only_what_is_new_is_told(shell: Shell, tmp_path: Path) -> None:
    for name, text in (("new", " a\n b\nc\n\n"), ("was", " b\n"), ("master", "c\n\n"), ("none", "")):
        (tmp_path / name).write_text(text)
    new, was, master, none = (tmp_path / name for name in ("new", "was", "master", "none"))
    assert said(shell, tmp_path, f"worse kind {new} {was} {master}") == ["gate: kind a"]
    assert len(said(shell, tmp_path, f"worse kind {new} {none}")) == 4
    assert said(shell, tmp_path, f"worse kind {none} {new}") == []


def test_what_is_told_is_bounded(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("".join(f"{number}{'x' * 5000}\n" for number in range(500)))
    found = said(shell, tmp_path, f"worse kind {tmp_path}/new /dev/null")
    assert len(found) == 60
    assert max(map(len, found)) == len("gate: kind ") + 300


def test_a_script_that_fails_is_told_with_what_it_said(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "out").write_text(CONFIGURED)
    found = said(shell, tmp_path, "rehearse", "rehearse", inside=f"cat {tmp_path}/out; return 1")
    assert found[0] == "gate: at configure"
    assert len(found) == 2
    assert found[1].startswith("gate: configure package attr (--configure): installed attr package post-inst")
    assert found[1].endswith("and before that: no luck")
    assert said(shell, tmp_path, "rehearse", "rehearse", inside="return 0") == ["gate: at configure"]
    other = said(shell, tmp_path, "rehearse", "rehearse", inside="echo dpkg: no space; return 2")
    assert other[1:] == ["gate: configure dpkg: no space"]


def verified(shell: Shell, tmp_path: Path, new: str, was: str, master: str = "") -> list[str]:
    for name, text in (("new", new), ("was", was), ("master", master)):
        (tmp_path / f"v.{name}").write_text(text)
    # What runs dpkg is not what is tried here.
    copy = f"cp {tmp_path}/v.$2 {tmp_path}/verify.$2"
    stubs = f"concerned() {{ echo p.list; }}\nverified() {{ {copy}; echo $2; }}\n"
    return said(shell, tmp_path, f"{stubs}verify", "verify")[1:]


@pytest.mark.parametrize(
    ("new", "was", "master", "told"),
    [
        ("", "", "", []),
        ("missing     /a\n", "missing     /a\n", "", []),
        ("missing     /a\n", "", "missing     /a\n", ["master"]),
        ("missing     /a\n", "missing     /b\n", "", ["master", "gate: verify missing     /a"]),
    ],
)
def test_files_are_compared_with_the_old_system_and_the_new_master(
    shell: Shell, tmp_path: Path, new: str, was: str, master: str, told: list[str]
) -> None:
    assert verified(shell, tmp_path, new, was, master) == ["new", "was", *told]


def test_a_conffile_may_be_as_the_machine_wants_it() -> None:
    """The lines of `dpkg --verify` that say so."""

    pattern = re.search(r"grep -v '\^(.*?)'", (GUEST / "appliance/gate").read_text())
    assert pattern is not None
    form = re.compile(pattern[1].replace("\\{", "{").replace("\\}", "}"))
    assert form.match("??5?????? c /etc/issue") and form.match("missing   c /etc/issue")
    assert not form.match("??5??????   /usr/bin/a c b") and not form.match("missing     /a c b")
