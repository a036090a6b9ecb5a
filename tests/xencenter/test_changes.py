"""Show changes: the console's page of the selected machine, or what to do without a console."""

from pathlib import Path
from typing import Any

import pytest

from tests.xencenter.conftest import Desk, told

CONSOLE = "https://console.example:8443"


def uuid_of(desk: Desk, name: str) -> str:
    made: Any = desk.dom0.provision("web-01")
    with desk.dom0.pool.database() as database:
        vm = next(ref for ref, _ in database.where("VM", uuid=made["uuid"]))
        database.set("VM", vm, "name_label", name)
    return str(made["uuid"])


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("web-01", "machines/web-01/changes"),
        ("../../sign-out?x=1#y", "machines/..%2F..%2Fsign-out%3Fx%3D1%23y/changes"),
        ("//evil.example/\\", "machines/%2F%2Fevil.example%2F%5C/changes"),
    ],
)
def test_the_page_of_a_machine(desk: Desk, with_console: Path, name: str, page: str) -> None:
    there = desk.at(with_console)
    ended = there.run("changes", "--text", target=desk.target("VM", uuid_of(desk, name)))
    assert (ended.returncode, ended.stdout.decode().strip()) == (0, f"{CONSOLE}/{page}")


def test_of_a_pool_it_is_the_list(desk: Desk, with_console: Path) -> None:
    ended = desk.at(with_console).run("changes", "--text")
    assert (ended.returncode, ended.stdout.decode().strip()) == (0, f"{CONSOLE}/machines")


def test_without_a_console_the_command_is_told(desk: Desk) -> None:
    ended = desk.run("changes", "--text", target=desk.target("VM", uuid_of(desk, "web-01")))
    assert ended.returncode == 6
    assert "No web console is configured" in told(ended) and "skinnybox changes web-01" in told(ended)


@pytest.mark.parametrize("text", ["", "<x", "<x/>"])
def test_a_descriptor_that_is_none(desk: Desk, built: Path, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "Skinnybox.exe").write_bytes((built / "Skinnybox.exe").read_bytes())
    (folder / "Skinnybox.xcplugin.xml").write_text(text)
    ended = desk.at(folder).run("changes", "--text")
    assert ended.returncode == (6 if text == "<x/>" else 1)
    assert ("cannot be read" in told(ended)) == (text != "<x/>")
