"""What a master's apt says, as far as it goes into a configuration of ours."""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, NotFound, Unsupported
from skinnybox.masters.sources import Release, Source, parse
from skinnybox.package_cache import private, reading
from skinnybox.package_cache.names import checked
from skinnybox.package_cache.reading import Trusted

STATUS = b"Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"


def _known(text: str, **more: object) -> Trusted:
    return Trusted(**{"sources": tuple(parse(text)), "keys": {}, "status": STATUS, **more})  # type: ignore[arg-type]


def _prepared(folder: Path, text: str, **more: object) -> tuple[str, str, tuple[str, ...]]:
    """The sources that are used, the configuration, and what was said."""
    found = private.prepare(folder, _known(text, **more))
    written = (folder / "etc/sources.list.d/master.sources").read_text()
    return written, found.configuration.read_text(), found.notes


def test_what_leads_to_no_network_is_left_out(tmp_path: Path) -> None:
    text = (
        "deb cdrom:[Debian]/ x main\ndeb file:/srv x main\ndeb copy:/srv x main\ndeb mirror+file:/x x main\n"
        "deb rsh://h x main\ndeb HTTP2://h x main\ndeb ssh://h x main\n"
        "deb http://good.example bookworm main\n"
    )
    written, _, notes = _prepared(tmp_path, text)
    assert parse(written) == [
        Source(uris=("http://good.example",), suites=("bookworm",), components=("main",))
    ]
    assert len(notes) == 7 and all("no network leads there" in note for note in notes)


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb\nURIs: http://h\nComponents: main\n",
        "Types: deb\nURIs: http://h\nSuites: x\n",
        "Types: deb\nURIs: http://h\nSuites: ./\nComponents: main\n",
        "deb [signed-by=/usr/share/keyrings/gone.gpg] http://h x main\n",
        "deb cdrom:[Debian]/ x main\n",
    ],
)
def test_one_that_apt_could_not_read_does_not_stop_the_others(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotFound, match="no apt source that can be reached"):
        _prepared(tmp_path, text)


def test_options_and_lines_of_a_source_bring_nothing_else(tmp_path: Path) -> None:
    text = (
        "Types: deb\nURIs: http://h\nSuites: x\nComponents: main\nTrusted: yes\nAllow-Insecure: yes\n"
        "Signed-By:\n -----BEGIN PGP-----\n .\n \x0bTrusted: yes\n abc\u2028Trusted: yes\n"
        " -----END PGP-----\n"
    )
    written, _, _ = _prepared(tmp_path, text)
    rows = written.splitlines()
    assert rows[:4] == ["Types: deb", "URIs: http://h", "Suites: x", "Components: main"]
    assert rows[4] == "Signed-By: " and all(row.startswith(" ") for row in rows[5:])
    assert "Trusted: yes" not in [row for row in rows if not row.startswith(" ")]


def test_keys_lie_in_our_folder_by_names_of_our_own(tmp_path: Path) -> None:
    key = "/usr/share/keyrings/../../../root/x y.asc"
    source = Source(uris=("http://h",), suites=("x",), components=("main",), signed_by=key)
    known = _known("", keys={key: b"key"}, trusted=((".asc", b"one"), (".gpg", b"two")))
    known = Trusted(sources=(source,), keys=known.keys, trusted=known.trusted, status=STATUS)
    private.prepare(tmp_path, known)
    assert (tmp_path / "etc/keys/0.asc").read_bytes() == b"key"
    assert sorted(file.name for file in (tmp_path / "etc/trusted.gpg.d").iterdir()) == ["000.asc", "001.gpg"]


def test_the_architecture_is_a_word(tmp_path: Path) -> None:
    """A status says it, and a configuration may name commands."""
    good = "deb http://h x main\n"
    _, written, _ = _prepared(tmp_path / "a", good, architectures=("amd64", "i386"))
    assert 'APT::Architectures:: "amd64";\nAPT::Architectures:: "i386";\n' in written
    for bad in ('amd64"; APT::Update::Pre-Invoke { "id"; };', 'a"', "a;b", "", "../x", "AMD64"):
        status = STATUS.replace(b"amd64", bad.encode())
        try:
            _, written, _ = _prepared(tmp_path / "b", good, status=status)
        except Unsupported:
            continue
        assert "Invoke" not in written, bad
    assert reading.architectures('amd64\ni386"; {x}\n../etc\narm64') == ("amd64", "arm64")


def test_of_this_computers_configuration_only_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::http::Proxy::deb.example "DIRECT";',
        'Acquire::http::Proxy-Auto-Detect "/usr/bin/auto-apt-proxy";',
        'Acquire::https::CAInfo "/etc/ssl/own.pem";',
        'Acquire::Retries "3";',
    ]
    others = [
        'APT::Update::Pre-Invoke:: "id";',
        'Acquire::AllowInsecureRepositories "true";',
        'Acquire::https::Verify-Peer "false";',
        'APT::Get::AllowUnauthenticated "true";',
        'Acquire::http::Proxy "x"; APT::Update::Pre-Invoke:: "id";',
        'Dir::Etc::Parts "/etc/apt/apt.conf.d";',
    ]

    def dump(argv: run.Argv, **how: object) -> run.Ended:
        said = "\n".join(row for pair in zip(others, [*lines, ""], strict=True) for row in pair)
        return run.Ended(argv, 0, said.encode(), b"")

    monkeypatch.setattr(run, "run", dump)
    assert list(private.way_out()) == lines


def test_this_computers_sources_only_for_a_master_that_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Source(uris=("http://own.example",), suites=("trixie",), components=("main",))
    monkeypatch.setattr(private, "release", lambda: Release(id="debian", codename="bookworm"))
    monkeypatch.setattr(private, "own_sources", lambda suite: [own] if suite == "trixie" else [])
    there = Release(id="debian", codename="trixie")
    written, _, notes = _prepared(tmp_path / "a", "", release=there)
    assert parse(written)[0].uris == own.uris and "keyrings/debian-archive-keyring" in written
    assert notes == ("the new master has no apt source: this computer's are used, for its release",)
    for number, (text, its) in enumerate(
        (
            ("deb file:/srv x main\n", there),
            ("", Release(id="ubuntu", codename="trixie")),
            ("", Release(id="debian", codename="gone")),
        )
    ):
        with pytest.raises(NotFound):
            _prepared(tmp_path / str(number), text, release=its)


def test_names() -> None:
    assert checked(["g++", "libc6", "g++", "php8.2-fpm"]) == ("g++", "libc6", "php8.2-fpm")
    for name in ("", "a", "-y", "A1", "a b", "a\n", "a/b", "a=1", "a:i386", "a*", "a^", "ä1", "a" * 201):
        with pytest.raises(Blocked, match="no name of a package"):
            checked(["good", name])
    with pytest.raises(Blocked, match="more than can be"):
        checked(f"package-{number}" for number in range(10_000))
