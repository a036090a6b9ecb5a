"""A self-signed certificate for every address a host of a pool can have, made once in a test run."""

import functools
import ssl
import tempfile
from pathlib import Path

from skinnybox import run

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 9))


@functools.cache
def _pem() -> tuple[bytes, bytes]:
    """(certificate, key)."""
    names = ",".join(f"IP:{each}" for each in ADDRESSES)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "pool.pem"), Path(folder, "pool.key")
        # fmt: off
        run.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=xapi-emulator",
            "-addext", f"subjectAltName={names}",
        ])
        # fmt: on
        return certificate.read_bytes(), key.read_bytes()


def make(folder: Path) -> tuple[Path, Path]:
    """(certificate, key), PEM files in `folder`."""
    paths = folder / "pool.pem", folder / "pool.key"
    for path, content in zip(paths, _pem(), strict=True):
        path.write_bytes(content)
    return paths


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made
