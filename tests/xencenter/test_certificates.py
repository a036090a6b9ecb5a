"""Whether it is the pool: nothing is sent to who did not prove it."""

import pytest

from tests.xencenter.conftest import THIN, Desk, told

PREVIEW = ("batch", "--text", "--preview", *THIN, "last=2")


def refused(desk: Desk) -> str:
    desk.dom0.pool.log.clear()
    ended = desk.run(*PREVIEW)
    assert (ended.returncode, desk.dom0.pool.log.count()) == (5, 0)
    assert desk.session not in told(ended)
    return told(ended)


def test_a_certificate_that_nobody_confirmed(desk: Desk) -> None:
    desk.known.unlink()
    text = refused(desk)
    pairs = [desk.dom0.pool.fingerprint.upper()[at : at + 2] for at in range(0, 64, 2)]
    assert "is not known (SHA-256 " + ":".join(pairs) in text
    assert not desk.known.exists()


def test_one_that_changed(desk: Desk) -> None:
    desk.known.write_text(f"{desk.authority} {'A' * 64}\n")
    assert "is another than the one that was confirmed" in refused(desk)


@pytest.mark.parametrize("line", ["127.0.0.1 {}", "127.0.0.1:1 {}", "{}", "", "\0\xff {} {}"])
def test_one_that_was_confirmed_for_another_address(desk: Desk, line: str) -> None:
    desk.known.write_text(line.format(desk.dom0.pool.fingerprint.upper(), "x"))
    assert "is not known" in refused(desk)


def test_the_last_that_was_confirmed_counts(desk: Desk) -> None:
    good = desk.known.read_text()
    desk.known.write_text(f"other:1 {'B' * 64}\n{good.split()[0]} {'A' * 64}\n{good}")
    assert desk.run(*PREVIEW).returncode == 0
