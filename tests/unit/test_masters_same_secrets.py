"""Secrets that all machines of a master would share are told of, and what only looks like one is not."""

import os
from pathlib import Path

import pytest

from skinnybox.masters import same_secrets
from skinnybox.masters.index import Entry, scan
from skinnybox.masters.same_secrets import WAY_OUT, held, watched
from skinnybox.operation import Operation

KEY = b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n"


def _put(tree: Path, path: str, content: bytes) -> Path:
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def _told(tree: Path) -> list[str]:
    found: list[Entry] = []
    entries = list(scan(tree, Operation()))
    assert list(watched(entries, found)) == entries
    return held(tree, found)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("etc/munge/munge.key", b"\xff\0\1"),
        ("etc/bind/rndc.key", b'key "rndc-key" {\n\talgorithm hmac-sha256;\n\tsecret "x=";\n};\n'),
        ("etc/chrony/chrony.keys", b"# keys\n1 MD5 abc\n"),
        ("etc/chrony.keys", b"1 abc\n"),
        ("etc/ntpsec/ntp.keys", b"1 M abc\n"),
        ("etc/ssl/private/ssl-cert-snakeoil.key", KEY),
        ("etc/letsencrypt/archive/example.org/privkey1.pem", KEY),
        ("etc/dovecot/private/dovecot.pem", CERTIFICATE + KEY),
        ("etc/wireguard/wg0.conf", b"[Interface]\nPrivateKey = abc=\n"),
        ("etc/iscsi/initiatorname.iscsi", b"## one\nInitiatorName=iqn.1993-08.org.debian:01:abc\n"),
        ("etc/mysql/debian.cnf", b"[client]\npassword = abc\n"),
        ("etc/nvme/hostid", b"1-2-3\n"),
        ("etc/ssh/ssh_host_ed25519_key", KEY.replace(b"PRIVATE", b"OPENSSH PRIVATE")),
        ("home/anna/.ssh/id_ed25519", KEY.replace(b"PRIVATE", b"OPENSSH PRIVATE")),
        ("root/.ssh/id_rsa", KEY.replace(b"PRIVATE", b"RSA PRIVATE")),
        ("var/lib/puppet/ssl/private_keys/web.pem", KEY.replace(b"PRIVATE", b"EC PRIVATE")),
        ("var/lib/mysql/server-key.pem", KEY),
        ("var/lib/tor/site/hs_ed25519_secret_key", b"== ed25519v1-secret"),
    ],
)
def test_what_each_machine_would_have_is_told(tmp_path: Path, path: str, content: bytes) -> None:
    _put(tmp_path, path, content)
    assert _told(tmp_path) == [f"each machine of this master would have the same: /{path}", WAY_OUT]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("etc/chrony/chrony.keys", b"# 1 MD5 abc\n\n  # 2\n"),
        ("etc/ssl/certs/ca.pem", CERTIFICATE),
        ("etc/munge/munge.key", b""),
        ("etc/iscsi/initiatorname.iscsi", b"GenerateName=yes\n"),
        ("etc/mysql/debian.cnf", b"[client]\npassword =\n"),
        ("usr/share/doc/x/examples/server.key", KEY),
        ("usr/lib/python3/test/keycert.pem", KEY),
        ("root/.ssh/id_rsa.pub", b"ssh-rsa AAAA"),
        ("root/.ssh/authorized_keys", b"ssh-rsa AAAA"),
        ("etc/apt/trusted.key", b"-----BEGIN PGP PUBLIC KEY BLOCK-----"),
    ],
)
def test_what_only_looks_like_one_is_not(tmp_path: Path, path: str, content: bytes) -> None:
    _put(tmp_path, path, content)
    assert _told(tmp_path) == []


def test_no_symlink_is_followed_and_nothing_waits(tmp_path: Path) -> None:
    outside = _put(tmp_path, "outside.key", KEY)
    tree = tmp_path / "tree"
    (tree / "etc/munge").mkdir(parents=True)
    (tree / "etc/a.key").symlink_to(outside)
    os.mkfifo(tree / "etc/munge/munge.key")
    assert _told(tree) == []


def test_a_file_is_told_of_once_and_of_many_the_rest_is_counted(tmp_path: Path) -> None:
    first = _put(tmp_path, "etc/0.key", KEY)
    (tmp_path / "etc/again.key").hardlink_to(first)
    for number in range(1, 9):
        _put(tmp_path, f"etc/{number}\x1b[2J.key", KEY)
    line, _ = _told(tmp_path)
    assert "; and 1 more" in line and "again" not in line and "\x1b" not in line


def test_a_tree_full_of_them_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_secrets, "_MOST", 2)
    for number in range(5):
        _put(tmp_path, f"etc/{number}.key", KEY)
    assert _told(tmp_path)[0].endswith("/etc/0.key; /etc/1.key")
