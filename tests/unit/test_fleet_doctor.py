"""What `doctor` says of how readers are shut in: what was seen to be in force, not what should be."""

from pathlib import Path

import pytest

from skinnybox.fleet.doctor import examine
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.issues import Check
from skinnybox.sandbox import confinement, jail

NOWHERE = (jail.LANDLOCK, jail.EMPTY_ROOT)


def said(state: Path) -> Check:
    host = FakeHost(state)
    (found,) = [check for check in examine(state, host) if check.name == "confinement"]
    host.close()
    return found


@pytest.mark.parametrize(
    ("without", "weak", "status", "detail"),
    [
        ((), False, "ok", jail.FILTER),
        ((), True, "ok", jail.FILTER),
        ((jail.LANDLOCK,), False, "ok", jail.EMPTY_ROOT),
        (NOWHERE, False, "fail", "could not be set up"),
        (NOWHERE, True, "warn", "weak, as the settings allow"),
        ((jail.FILTER,), False, "fail", "could not be set up"),
        ((jail.FILTER,), True, "warn", "weak, as the settings allow"),
    ],
)
def test_what_is_in_force_is_a_check_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    without: tuple[str, ...],
    weak: bool,
    status: str,
    detail: str,
) -> None:
    monkeypatch.setattr(confinement, "WITHOUT", without)
    monkeypatch.setattr(confinement, "_weak", weak)
    found = said(tmp_path)
    assert found.status == status and detail in found.detail
    assert (found.hint is None) == (status == "ok")
