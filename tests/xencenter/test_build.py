"""What `xencenter/build` makes: the same bytes each time, a descriptor that loads, resources to be found."""

import zipfile
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from tests.xencenter.conftest import INSIDE, build
from tests.xencenter.loader import mistakes
from tests.xencenter.test_descriptor import FILES
from xencenter.assemble import address

NAMES = [
    "LICENSE",
    "Skinnybox.exe",
    "Skinnybox.exe.config",
    "Skinnybox.resources.dll",
    "Skinnybox.xcplugin.xml",
]
READER = """
using System; using System.Reflection; using System.Resources;
class Reader { static void Main(string[] words) {
    var read = new ResourceManager("Skinnybox", Assembly.UnsafeLoadFrom(words[0]));
    foreach (string key in new[] { "Skinnybox.label", "pool_batch.tooltip", "none" })
        Console.WriteLine(read.GetString(key) ?? "(null)");
} }
"""


def test_the_same_bytes_each_time(built: Path, tmp_path: Path) -> None:
    build(tmp_path)
    name = "skinnybox-xencenter.zip"
    assert (tmp_path / name).read_bytes() == (built.parents[2] / name).read_bytes()


def test_the_folder_that_xencenter_looks_in(built: Path) -> None:
    assert sorted(each.name for each in built.iterdir()) == NAMES
    with zipfile.ZipFile(built.parents[2] / "skinnybox-xencenter.zip") as archive:
        assert archive.namelist() == [str(INSIDE / name) for name in NAMES]
        assert all(archive.read(str(INSIDE / name)) == (built / name).read_bytes() for name in NAMES)


def test_without_a_console_there_are_no_tabs(built: Path) -> None:
    text = (built / "Skinnybox.xcplugin.xml").read_text()
    assert mistakes(text, FILES) == []
    assert "TabPage" not in text and "<Search" not in text and text.count("<MenuItem") == 15


def test_with_one_they_are_at_its_address(with_console: Path) -> None:
    text = (with_console / "Skinnybox.xcplugin.xml").read_text()
    assert mistakes(text, FILES) == []
    assert 'url="https://console.example:8443/"' in text
    assert 'url="https://console.example:8443/machines/{$label}"' in text


@pytest.mark.parametrize(
    "url",
    [
        "console.example",
        "ftp://console.example",
        "https://",
        "https://a b",
        'https://a"/><x',
        "https://a/{$session_id}",
        "https://user:secret@a",
        "https://a/?x=1",
        "https://a/#x",
        "https://a\\b",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_address_of_a_console(url: str) -> None:
    with pytest.raises(ValueError, match="no address of a web console"):
        address(url)


def test_a_wrong_address_builds_nothing(built: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no address of a web console"):
        build(tmp_path, "--console", "console.example")
    assert list(tmp_path.iterdir()) == []


def test_xencenter_finds_the_resources(built: Path, tmp_path: Path) -> None:
    (tmp_path / "reader.cs").write_text(READER)
    program = tmp_path / "reader.exe"
    run.run(["mcs", f"-out:{program}", str(tmp_path / "reader.cs")])
    ended = run.run(["mono", str(program), str(built / "Skinnybox.resources.dll")])
    assert ended.stdout.decode().splitlines() == [
        "Skinnybox",
        "Machines PREFIX + number of one template and one master",
        "(null)",
    ]
