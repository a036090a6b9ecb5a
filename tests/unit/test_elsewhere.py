"""`ssh://` as a word of a command line: what ssh and the shell there are given of it."""

import shlex
import subprocess

import pytest

from skinnybox.errors import UsageError
from skinnybox.fleet.elsewhere.place import Place, place_of

FOLDERS = ("/srv/a b", "/srv/it's", '/srv/"$HOME"', "/srv/~/x", "/-x", "/100%", "/a\nb", "/srv/`id`;id", "/ü")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_any_name_is_one_word(folder: str) -> None:
    place = place_of(f"ssh://other{folder}", "fake")
    shell = f'skinnybox() {{ printf "%s\\0" "$@"; }}; {place.command}'
    said = subprocess.run(["sh", "-c", shell], check=True, capture_output=True).stdout.decode().split("\0")
    assert said[:-1] == ["--quiet", "--state", folder, "--host=fake", "receive"]
    assert place.where == f"ssh://other{folder}"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ssh://other", Place(computer="other")),
        ("ssh://other/", Place(computer="other")),
        ("ssh://root@10.0.0.1:2222/srv", Place(computer="root@10.0.0.1", port=2222, folder="/srv")),
        ("ssh://me@work@other/srv", Place(computer="me@work@other", folder="/srv")),
        ("ssh://[fe80::1%eth0]:22/srv", Place(computer="fe80::1%eth0", port=22, folder="/srv")),
        ("ssh://other/~/-x", Place(computer="other", folder="./-x")),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert place_of(text) == place == place_of(place.where)
    assert place.argv[-2:] == ["--", place.computer]
    assert "receive" in shlex.split(place.command)


@pytest.mark.parametrize(
    "text",
    [
        "ssh://", "ssh:///srv", "ssh://-oProxyCommand=id/srv", "ssh://-l@other/srv", "ssh://a b/srv",
        "ssh://other:0/x", "ssh://other:65536/x", "ssh://other:x/x", "ssh://other/~", "ssh://other/~/",
        "ssh://other/~root/x", "ssh://o;id/x", "ssh://$(id)/x", "ssh://a'b/x", "ssh://other\n/x", "ssh://@b/x",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"ssh|home"):
        place_of(text)
