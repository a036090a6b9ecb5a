from pathlib import Path

import pytest

from skinnybox.errors import NotFound, Unsupported
from skinnybox.masters.sources import Release, Source, own_sources, parse, release

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://deb.example/debian
 http://other.example/debian
Suites: bookworm bookworm-updates
# inside
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.example/debian-security
Suites: bookworm-security
Components: main
Enabled: no

Types: deb
URIs: http://third.example/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/third.gpg

Types: deb-src
URIs: http://deb.example/debian
Suites: bookworm
Components: main
"""
LIST = """\
deb [arch=amd64 signed-by=/usr/share/keyrings/docker.gpg] https://docker.example/linux/debian bookworm stable
deb http://apt.example bookworm-pgdg main
deb http://flat.example ./
# deb http://deb.example/debian bookworm main
deb-src http://deb.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main contrib # trailing
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="D"\n')
    (tmp_path / "etc/apt/sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "etc/apt/sources.list").write_text(LIST)
    return tmp_path


def test_only_the_distributions_own_sources_are_taken(root: Path) -> None:
    assert own_sources("bookworm", root) == [
        Source(
            uris=("http://security.example/debian-security",),
            suites=("bookworm-security",),
            components=("main", "contrib"),
        ),
        Source(
            uris=("http://deb.example/debian", "http://other.example/debian"),
            suites=("bookworm", "bookworm-updates"),
            components=("main", "non-free-firmware"),
            signed_by="/usr/share/keyrings/debian-archive-keyring.gpg",
        ),
    ]


def test_a_third_party_that_looks_like_the_distribution_is_known_by_its_release_file(root: Path) -> None:
    lists = root / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    name = "security.example_debian-security_dists_bookworm-security_InRelease"
    (lists / name).write_text("Origin: Somebody\nLabel: x\n")
    assert [source.suites[0] for source in own_sources("bookworm", root)] == ["bookworm"]


def test_another_release_comes_from_the_same_mirror(root: Path) -> None:
    assert [source.suites for source in own_sources("trixie", root)] == [
        ("trixie-security",), ("trixie", "trixie-updates"),
    ]  # fmt: skip


def test_a_stanza_is_read_back(root: Path) -> None:
    for source in own_sources("bookworm", root):
        assert parse(source.stanza()) == [source]


def test_a_key_inside_a_stanza_is_kept() -> None:
    text = "Types: deb\nURIs: http://x\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n"
    (source,) = parse(text)
    assert parse(source.stanza()) == [source]
    assert source.stanza().endswith("Signed-By: \n -----BEGIN\n .\n abc\n")


def test_a_machine_without_own_sources(root: Path) -> None:
    (root / "etc/apt/sources.list.d/debian.sources").unlink()
    (root / "etc/apt/sources.list").unlink()
    with pytest.raises(NotFound, match="bookworm"):
        own_sources("bookworm", root)


def test_another_distribution_is_refused_with_a_way_out(root: Path) -> None:
    assert release(root) == Release(id="debian", codename="bookworm")
    (root / "etc/os-release").write_text('ID=fedora\nPRETTY_NAME="Fedora 40"\n')
    with pytest.raises(Unsupported, match="Fedora 40") as caught:
        release(root)
    assert "recipe" in (caught.value.hint or "")
