"""place.sh: time zone, locale and time servers."""

from pathlib import Path

import pytest

from skinnybox.wire import Line
from tests.guest.conftest import Ended, Shell
from tests.guest.test_seed import apply

LOCALES = 'locale() { printf "C\\nC.utf8\\nde_DE.utf8\\nsr_RS@latin\\nen_US\\n"; }\n'
TIMESYNCD = "etc/systemd/timesyncd.conf.d/skinnybox.conf"


@pytest.fixture
def root(shell: Shell) -> Path:
    root = shell.tmp / "root"
    for name in ("usr/share/zoneinfo/Europe", "etc/default", "usr/bin", "usr/sbin", "usr/lib/systemd"):
        (root / name).mkdir(parents=True)
    (root / "usr/share/zoneinfo/Europe/Berlin").touch()
    (root / "etc/debian_version").touch()
    (root / "usr/bin/locale").touch()
    return root


def told(shell: Shell, key: str, value: str) -> Ended:
    return apply(shell, Line(key, value), before=LOCALES)


def test_a_time_zone(shell: Shell, root: Path) -> None:
    (root / "etc/localtime").write_text("a copy, as old systems have it")
    assert told(shell, "timezone", "Europe/Berlin").code == 0
    assert str((root / "etc/localtime").readlink()) == "../usr/share/zoneinfo/Europe/Berlin"
    assert not (root / "etc/timezone").exists()
    (root / "etc/timezone").write_text("Etc/UTC\n")
    assert told(shell, "timezone", "Europe/Berlin").code == 0
    assert (root / "etc/timezone").read_text() == "Europe/Berlin\n"


@pytest.mark.parametrize("zone", ["Europe/Berlim", "Europe"])
def test_a_time_zone_that_is_none_here(shell: Shell, root: Path, zone: str) -> None:
    ended = told(shell, "timezone", zone)
    assert ended.code == 1 and f"does not know {zone}" in ended.out
    assert not (root / "etc/localtime").is_symlink()


def test_utc_needs_no_zoneinfo(shell: Shell, root: Path) -> None:
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert told(shell, "timezone", "UTC").code == 0
    assert not (root / "etc/localtime").is_symlink()


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "de_DE.utf8", "sr_RS@latin", "C.UTF-8", "POSIX", "en_US"])
def test_a_locale(shell: Shell, root: Path, locale: str) -> None:
    (root / "etc/default/locale").write_text("# mine\nLANG=C\nLC_TIME=C\n")
    assert told(shell, "locale", locale).code == 0
    assert (root / "etc/default/locale").read_text() == f"LANG={locale}\n# mine\nLC_TIME=C\n"
    assert not (root / "etc/locale.conf").exists()


@pytest.mark.parametrize("locale", ["fr_FR.UTF-8", "de_DE", "de_DE.ISO-8859-1", "de_D.UTF-8"])
def test_a_locale_that_was_not_generated(shell: Shell, root: Path, locale: str) -> None:
    ended = told(shell, "locale", locale)
    assert ended.code == 1 and f"has not generated {locale}" in ended.out


def test_a_locale_without_a_program_that_knows(shell: Shell, root: Path) -> None:
    (root / "usr/bin/locale").unlink()
    assert told(shell, "locale", "de_DE.UTF-8").code == 1
    assert told(shell, "locale", "C.UTF-8").code == 0


def test_the_locale_where_others_have_it(shell: Shell, root: Path) -> None:
    """Debian 13 has a link, whose target is what counts; Debian with both files gets both."""
    (root / "etc/default/locale").symlink_to("../locale.conf")
    assert told(shell, "locale", "C.UTF-8").code == 0
    assert (root / "etc/default/locale").is_symlink()
    assert (root / "etc/locale.conf").read_text() == "LANG=C.UTF-8\n"
    (root / "etc/default/locale").unlink()
    assert told(shell, "locale", "de_DE.UTF-8").code == 0
    assert (
        (root / "etc/locale.conf").read_text()
        == (root / "etc/default/locale").read_text()
        == "LANG=de_DE.UTF-8\n"
    )
    (root / "etc/default/locale").unlink()
    (root / "etc/debian_version").unlink()
    assert told(shell, "locale", "C").code == 0
    assert (root / "etc/locale.conf").read_text() == "LANG=C\n"
    assert not (root / "etc/default/locale").exists()


def test_timesyncd(shell: Shell, root: Path) -> None:
    (root / "usr/lib/systemd/systemd-timesyncd").touch()
    assert told(shell, "ntp", "ntp.example 192.0.2.7 fd00::1").code == 0
    assert (root / TIMESYNCD).read_text().endswith("[Time]\nNTP=ntp.example 192.0.2.7 fd00::1\n")


def chrony(root: Path, path: str, text: str) -> Path:
    (root / "usr/lib/systemd/systemd-timesyncd").touch()
    (root / "usr/sbin/chronyd").touch()
    file = root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_chrony_with_a_folder_of_sources(shell: Shell, root: Path) -> None:
    text = "pool 2.debian.pool.ntp.org iburst\nsourcedir /run/chrony-dhcp\nsourcedir /etc/chrony/sources.d\n"
    file = chrony(root, "etc/chrony/chrony.conf", text)
    assert told(shell, "ntp", "ntp.example 192.0.2.7").code == 0
    assert (root / "etc/chrony/sources.d/skinnybox.sources").read_text() == (
        "server ntp.example iburst prefer\nserver 192.0.2.7 iburst prefer\n"
    )
    assert file.read_text() == text and not (root / TIMESYNCD).exists()


@pytest.mark.parametrize(
    ("program", "path"),
    [
        ("chronyd", "etc/chrony.conf"),
        ("ntpd", "etc/ntp.conf"),
        ("ntpd", "etc/ntpsec/ntp.conf"),
    ],
)
def test_a_block_in_a_file(shell: Shell, root: Path, program: str, path: str) -> None:
    file = chrony(root, path, "pool pool.example\n")
    (root / "usr/sbin/chronyd").rename(root / "usr/sbin" / program)
    for server in ("one.example", "two.example"):
        assert told(shell, "ntp", server).code == 0
        assert file.read_text() == (
            "pool pool.example\n# skinnybox: from the seed\n"
            f"server {server} iburst prefer\n# skinnybox: end\n"
        )


def test_nobody_keeps_the_time(shell: Shell, root: Path) -> None:
    (root / "usr/sbin/ntpd").touch()  # busybox's, which has no file
    ended = told(shell, "ntp", "ntp.example")
    assert ended.code == 1 and "none of systemd-timesyncd, chrony and ntpd" in ended.out
