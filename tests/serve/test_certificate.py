"""TLS: which versions, whose key, and a certificate that is renewed while it serves."""

import os
import signal
import ssl
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, SkinnyboxError, UsageError
from skinnybox.serve import certificate as tls
from skinnybox.serve.certificate import Certificate
from tests.fleet.conftest import said
from tests.serve.conftest import a_token, certificate
from tests.serve.running import Running, running, until


def trusting(chain: Path, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    found = ssl.create_default_context(cafile=str(chain))
    if version is not None:
        found.minimum_version = found.maximum_version = version
    return found


def served(server: Running) -> str:
    """The certificate that it shows."""
    return ssl.get_server_certificate(("localhost", server.port))


def test_it_is_spoken_and_nothing_else(state: Path, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path / "tls")
    options = (f"--tls-cert={chain}", f"--tls-key={key}", "--host-name=localhost")
    with running(state, *options, tls=trusting(chain)) as server:
        assert server.said[1] == f"open https://localhost:{server.port}/"
        assert server.get("/api/v1/about", token=a_token(state))[0] == 200
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server.tls = trusting(chain, version)
            assert server.get("/api/v1/about")[0] == 401
        server.tls = trusting(chain)
        server.tls.set_ciphers("AES128-SHA@SECLEVEL=0")  # no forward secrecy, and CBC
        server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            server.get("/api/v1/about")
        server.tls = None
        with pytest.raises(OSError):
            server.get("/api/v1/about")


def test_older_versions_may_be_refused(state: Path, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path / "tls")
    options = (f"--tls-cert={chain}", f"--tls-key={key}", "--tls-min=1.3")
    with running(state, *options, tls=trusting(chain, ssl.TLSVersion.TLSv1_2)) as server:
        with pytest.raises(ssl.SSLError):
            server.get("/api/v1/about")
        server.tls = trusting(chain, ssl.TLSVersion.TLSv1_3)
        assert server.get("/api/v1/about")[0] == 401


def test_one_that_is_renewed_is_read_by_a_signal(state: Path, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path / "tls")
    with running(state, f"--tls-cert={chain}", f"--tls-key={key}") as server:
        first = served(server)
        assert first.split() == chain.read_text().split()
        certificate(tmp_path / "tls")
        assert served(server) == first
        server.send(signal.SIGHUP)
        until(lambda: f"read {chain} anew" in server.said)
        second = served(server)
        assert second != first and second.split() == chain.read_text().split()
        chain.write_text(first)  # of another key
        server.send(signal.SIGHUP)
        until(lambda: any("the certificate stays as it was" in line for line in server.said))
        assert served(server) == second
        key.unlink()
        server.send(signal.SIGHUP)
        until(lambda: sum("stays as it was" in line for line in server.said) == 2)
        assert served(server) == second
        assert server.end() == 0


def test_a_key_is_nobody_elses(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    tls.context(Certificate(chain=chain, key=key))
    for mode in (0o604, 0o640, 0o602, 0o620, 0o644):
        key.chmod(mode)
        with pytest.raises(Blocked, match="others may read"):
            tls.context(Certificate(chain=chain, key=key))
    key.chmod(0o400)
    tls.context(Certificate(chain=chain, key=key))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_roots_key_may_be_lent_to_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian's ssl-cert has it."""
    chain, key = certificate(tmp_path)
    os.chown(key, 0, -1)
    key.chmod(0o640)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tls.context(Certificate(chain=chain, key=key))
    key.chmod(0o644)
    with pytest.raises(Blocked):
        tls.context(Certificate(chain=chain, key=key))
    os.chown(key, 4711, -1)
    key.chmod(0o600)
    with pytest.raises(Blocked, match="belongs to"):
        tls.context(Certificate(chain=chain, key=key))


def test_a_passphrase_is_told_and_not_asked_for(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path, "localhost", "-passout", "pass:secret")
    with pytest.raises(UsageError, match="passphrase"):
        tls.context(Certificate(chain=chain, key=key))


def test_what_is_no_pair_is_told(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain, key = certificate(tmp_path / "one")
    other, _ = certificate(tmp_path / "other")
    empty = tmp_path / "empty"
    empty.touch()
    for wrong in (other, empty):
        with pytest.raises(UsageError, match="no certificate and its key"):
            tls.context(Certificate(chain=wrong, key=key))
    for chain_, key_ in ((tmp_path / "none", key), (chain, tmp_path / "none"), (tmp_path, key)):
        with pytest.raises(SkinnyboxError, match=str(tmp_path)):
            tls.context(Certificate(chain=chain_, key=key_))
    told = said(
        capsys, "--state", str(state), "--host", "fake", "serve", f"--tls-cert={other}", f"--tls-key={key}"
    )
    assert told.code == UsageError.exit_code and not state.exists()
