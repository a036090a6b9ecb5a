"""XenCenter's arguments: four words for each selected object, without quotes, with null and blank."""

from pathlib import Path

import pytest

from tests.xencenter.conftest import THIN, Desk, ending, told

URL = "https://10.0.0.1/"
OTHER = "https://10.0.0.2/"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "The first word has to be one of"),
        (("destroy",), "The first word has to be one of"),
        (("batch",), "No connected pool is selected."),
        (("batch", "null", "null", "null", "null"), "No connected pool is selected."),
        (("batch", "null", "OpaqueRef:1", "Pool", "u"), "No connected pool is selected."),
        (("batch", URL, "null", "Pool", "null"), "No connected pool is selected."),
        (("batch", URL, "OpaqueRef:1", "Pool"), "Four words are needed"),
        (("batch", URL), "Four words are needed"),
        (("batch", URL, "s", "Pool", "u", "ftp://x", "s", "Pool", "u"), "is no URL of a pool"),
        (("batch", URL, "s", "VM", "u", OTHER, "s", "VM", "u"), "Objects of several pools"),
        (("batch", URL, "s", "blank", "blank", OTHER, "s", "blank", "blank"), "Objects of several pools"),
        (("batch", "x", URL, "s", "Pool", "u"), "is neither KEY=VALUE nor a URL"),
        (("batch", "=x", URL, "s", "Pool", "u"), "is neither KEY=VALUE nor a URL"),
        (("batch", "--force", URL, "s", "Pool", "u"), "There is no option --force"),
    ],
)
def test_what_is_no_command_line(built: Path, words: tuple[str, ...], text: str) -> None:
    ended = ending(built, *words[:1], "--text", *words[1:]) if words else ending(built, "--text")
    assert ended.returncode == 2 and text in told(ended)


def test_a_pool_without_tls_is_refused(built: Path) -> None:
    ended = ending(built, "batch", "--text", "http://10.0.0.1:80/", "OpaqueRef:1", "Pool", "u")
    assert ended.returncode == 6 and "without TLS" in told(ended)


@pytest.mark.parametrize("kind", ["blank", "several", "beside one that is not connected"])
def test_objects_of_one_pool(desk: Desk, kind: str) -> None:
    one = desk.target("VM", "v-1")
    targets = {
        "blank": desk.target("blank", "blank"),
        "several": one + desk.target("VM", "v-2") + desk.target("Host", "h-1"),
        "beside one that is not connected": ["null", "null", "Pool", "null", *one],
    }
    ended = desk.run("batch", "--text", "--preview", *THIN, "last=2", target=targets[kind])
    assert (ended.returncode, told(ended).splitlines()[0]) == (0, "web-01, web-02")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((*THIN, "last=2", "first=3"), "last: 2 after 3 is no batch"),
        ((*THIN, "last=501"), "at most 500 machines"),
        ((*THIN, "last=x"), 'last: "x" cannot be taken'),
        ((*THIN, "last=-1"), 'last: "-1" cannot be taken'),
        ((*THIN, "last=1", "padding=10"), "a number from 0 to 9"),
        ((*THIN, "last=1", "overlay=1X"), 'overlay: "1X" is no size'),
        ((*THIN, "last=1", "overlay=31M"), "A size from 32M to 2040G"),
        ((*THIN, "last=1", "prefix=Web"), 'prefix: "Web" cannot begin'),
        ((*THIN, "last=1", "prefix=" + "a" * 62), "is no name of a machine"),
        ((*THIN, "last=1", "start=yes"), "true or false"),
        ((*THIN, "last=1", "colour=red"), "colour: this is nothing that batch takes"),
        (("last=1", "prefix=web-"), "template: is missing"),
        ((*THIN,), "last: is missing"),
    ],
)
def test_a_slip_is_told_before_a_pool_is_asked(built: Path, words: tuple[str, ...], text: str) -> None:
    """There is none at that address, and nobody waits for it."""
    ended = ending(built, "batch", "--text", *words, URL, "OpaqueRef:1", "Pool", "u")
    assert ended.returncode == 2 and text in told(ended)
