"""What comes from others is what they published, and all of it is in the package."""

import re
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from skinnybox.web import static_files
from tests.pages import ROOT
from tests.web.conftest import Console

VENDORED = {
    "xterm-addon-fit-0.10.0.js": "bdaefa370b1bfc42ee88d46fe6072400902a4d4b2d45cd93438dda9b23c97089",
    "xterm-5.5.0.css": "ba8e6985669488981ccf40c0cefe3aba80722cb6c92de7ad628b0bd717faf2b6",
    "xterm-5.5.0.js": "1f991ac3b4b283ebf96e60ae23a00a52765dd3a2e46fa6fdda9f1aab032f7495",
    "htmx-2.0.10.min.js": "71ea67185bfa8c98c39d31717c6fce5d852370fcdfd129db4543774d3145c0de",
}
"""SHA-256 of files of npm packages, as they were published."""


@pytest.mark.parametrize("name", VENDORED)
def test_what_comes_from_others_is_what_they_published(name: str) -> None:
    assert sha256(static_files.all_files()[name].content).hexdigest() == VENDORED[name]


def test_every_script_and_style_of_others_has_its_licence() -> None:
    told = static_files.all_files()["licences.txt"].content.decode()
    assert [name for name in VENDORED if name not in told] == []


def test_nothing_that_pages_load_comes_from_elsewhere() -> None:
    ours = [
        name for name in static_files.all_files() if name not in VENDORED and name.endswith((".css", ".js"))
    ]
    assert len(ours) >= 4
    for name in ours:
        text = static_files.all_files()[name].content.decode()
        assert re.findall(r"https?://|url\(|@import", text) == [], name


def test_files_are_kept_by_browsers_until_they_are_others(console: Console) -> None:
    stranger = console.browser(None)
    answer = stranger.get(static_files.address("app.js"))
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert stranger.get("/static/app.js").headers["cache-control"] == "no-cache"
    tag = {"if-none-match": answer.headers["etag"]}
    assert stranger.get("/static/app.js", headers=tag).status_code == 304
    for wrong in ("/static/none.js", "/static/..%2fapp.js", "/static/%2e%2e/render.py"):
        assert stranger.get(wrong).status_code == 404


def test_templates_and_files_are_in_the_wheel(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    built = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    there = set(zipfile.ZipFile(built).namelist())
    source = ROOT / "src"
    wanted = [
        path for folder in ("templates", "static") for path in (source / "skinnybox/web" / folder).iterdir()
    ]
    assert len(wanted) > 8
    assert [path.name for path in wanted if str(path.relative_to(source)) not in there] == []
