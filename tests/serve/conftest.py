"""A state folder, and a certificate that is nobody's."""

import subprocess
from pathlib import Path

import pytest

from skinnybox.model import Master
from tests.fleet.conftest import open_fake
from tests.samples import seal


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def master(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "tiny", "1")


def a_token(state: Path, role: str = "admin") -> str:
    from skinnybox.fleet.tokens import Role

    with open_fake(state) as fleet:
        return fleet.tokens.create("tester", Role[role.upper()])[1]


def jobs_of(state: Path) -> list[str]:
    with open_fake(state) as fleet:
        return [f"{job.verb} {job.condition}" for job in fleet.jobs.all()]


def certificate(folder: Path, name: str = "localhost", *more: str) -> tuple[Path, Path]:
    """Chain and key, made anew each time."""
    folder.mkdir(exist_ok=True)
    chain, key = folder / "chain.pem", folder / "key.pem"
    words = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "1",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out",
        str(chain), *(more or ("-nodes",)),
    ]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    key.chmod(0o600)
    return chain, key
