"""How a pool is reached: whom we trust, where we are sent, sessions that end, and that none is left."""

import threading
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked, Corrupt, NotFound, SkinnyboxError, UsageError
from skinnybox.hosts.xapi import address
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.session import Lost
from tests.emulators.xapi import PASSWORD, EmulatedPool
from tests.xapi.furnished import furnished, host_on


def sessions(pool: EmulatedPool) -> int:
    with pool.database() as database:
        return len(database.tables["session"])


def test_the_certificate_is_checked(tmp_path: Path) -> None:
    with furnished() as pool:
        secure: dict[str, Any] = {"url": pool.tls_url}
        trusts: list[dict[str, Any]] = [
            {"pins": ("1" * 64, pool.fingerprint)},
            {"ca": pool.certificate},
            {"insecure": True},
        ]
        with pytest.raises(Lost, match="cannot prove who it is") as caught:
            host_on(pool, tmp_path, **secure).statuses()
        assert caught.value.hint and "sha256" in caught.value.hint
        with pytest.raises(Corrupt, match="another certificate"):
            host_on(pool, tmp_path, pins=("0" * 64,), **secure).statuses()
        assert pool.log.count() == 0  # nobody was told the password
        for trust in trusts:
            host = host_on(pool, tmp_path, **secure, **trust)
            assert host.statuses() == {}
            host.close()
        with pytest.raises(NotFound):
            host_on(pool, tmp_path, ca=tmp_path / "none", **secure)


def test_a_slave_sends_us_to_the_master(tmp_path: Path) -> None:
    with furnished(hosts=("alpha", "beta")) as pool:
        host = host_on(pool, tmp_path, url=pool.url_of(1))
        assert host.statuses() == {}
        assert {entry.host for entry in pool.log.of("event.from")} == {"alpha"}
        assert {entry.originator for entry in pool.log.of("event.from")} == {"skinnybox"}
        host.close()
        assert sessions(pool) == 0


def test_a_session_that_ended_is_begun_again(tmp_path: Path) -> None:
    with furnished() as pool:
        host = host_on(pool, tmp_path)
        host.statuses()
        pool.expire_sessions()
        assert host._pool.call("pool.get_all")
        assert pool.log.count("session.login_with_password") == 2
        host.close()
        assert sessions(pool) == 0


def test_each_thread_has_its_own_and_all_are_logged_out(tmp_path: Path) -> None:
    with furnished() as pool:
        host = host_on(pool, tmp_path)
        host.statuses()
        together = threading.Barrier(3)  # the session of a thread that has ended is used again

        def wait(host: XapiHost) -> None:
            together.wait(timeout=60)
            host.wait_change(0.05)
            together.wait(timeout=60)

        waiting = [threading.Thread(target=wait, args=(host,)) for _ in range(3)]
        for each in waiting:
            each.start()
        for each in waiting:
            each.join()
        assert sessions(pool) == 4
        host.close()
        host.close()
        assert sessions(pool) == 0
        assert host.statuses() == {}
        del host  # forgotten: logged out all the same
        assert sessions(pool) == 0


def test_a_wrong_password_and_no_pool(tmp_path: Path) -> None:
    with furnished() as pool:
        host = host_on(pool, tmp_path, user="nobody")
        with pytest.raises(UsageError, match="name and password") as caught:
            host.statuses()
        assert PASSWORD not in str(caught.value)
        assert [check.status for check in host.doctor()] == ["fail"]
        url = pool.url
    gone = host_on(pool, tmp_path, url=url)
    with pytest.raises(Lost, match="did not answer"):
        gone.statuses()


def test_a_reader_sees_and_changes_nothing(tmp_path: Path) -> None:
    with furnished() as pool:
        pool.add_user("anna", PASSWORD, "read-only")
        host = host_on(pool, tmp_path, user="anna")
        assert host.statuses() == {} and host.features.bridges == {"lan"}
        with pytest.raises(Blocked) as caught:
            host._pool.call("VM.set_other_config", "OpaqueRef:NULL", {})
        assert caught.value.hint and "vm-admin" in caught.value.hint
        host.close()


def test_answers_that_are_lost(tmp_path: Path) -> None:
    """What only reads is asked again, what makes something is not."""
    with furnished() as pool:
        host = host_on(pool, tmp_path)
        host.statuses()
        pool.faults.drop_before("event.from")
        host.written([])
        pool.faults.drop_before("task.create")
        with pytest.raises(Lost):
            host._pool.call("task.create", "a", "b")
        assert pool.log.count("task.create") == 1
        host.close()


@pytest.mark.parametrize(
    "name",
    [
        "xapi://pool", "xapi://root@", "xapi://root@pool/path", "xapi://root@pool:port", "xen://root@pool",
        "xapi://root@a,", "xapi://root@a,,b", "xapi://root@[fe80::1%]", "xapi://root@[fe80::1%e th0]",
        "xapi://root@[fe80]", "xapi://root@pool:99999", "xapi://root@fd00::1",
        "xapi://root@pool?sha256=12", "xapi://root@pool?colour=red", "xapi://root@pool?insecure=maybe",
    ],
)  # fmt: skip
def test_what_is_no_pool(name: str) -> None:
    with pytest.raises(UsageError):
        address.parse(name)


def test_a_pool_by_its_name() -> None:
    found = address.parse("xapi://ro%40ot@pool.example:8443?sr=fast&network=lan&sha256=" + "AB:" * 31 + "AB")
    assert (found.user, found.url, found.sr, found.network) == (
        "ro@ot", "https://pool.example:8443", "fast", "lan",
    )  # fmt: skip
    assert found.pins == ("ab" * 32,) and not found.insecure
    assert address.parse("xapi://anna@example.org@pool").user == "anna@example.org"
    assert address.parse("xapi://root@[fd00::1]").url == "https://[fd00::1]"


def test_several_addresses_of_a_pool() -> None:
    found = address.parse("xapi://root@Alpha.example,10.0.0.2:8443,[fe80::2%eth0],[fd00::1]:444/?sr=fast")
    assert found.url == "https://alpha.example" and found.sr == "fast"
    assert found.others == ("https://10.0.0.2:8443", "https://[fe80::2%eth0]", "https://[fd00::1]:444")


@pytest.mark.parametrize("zone", ["%eth0", "%25eth0"])
def test_the_zone_of_an_address(zone: str) -> None:
    """Plain, and as RFC 6874 writes it in a URL."""
    assert address.parse(f"xapi://root@[fe80::1{zone}]:8443").url == "https://[fe80::1%eth0]:8443"


def test_a_password_is_never_an_argument(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        address.parse("xapi://root:geheim@pool")
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    file = tmp_path / "password"
    file.write_text("of the file\nsecond line\n")
    pool = address.parse("xapi://root@pool")
    assert address.password(pool, {address.PASSWORD: "of the environment"}) == "of the environment"
    assert address.password(pool, {address.PASSWORD_FILE: str(file)}) == "of the file"
    assert address.password(address.parse(f"xapi://root@pool?password-file={file}"), {}) == "of the file"
    with pytest.raises(NotFound):
        address.password(pool, {address.PASSWORD_FILE: str(tmp_path / "none")})


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/null").open() as nobody, pytest.raises(UsageError, match="no password"):
        monkeypatch.setattr("sys.stdin", nobody)
        address.password(address.parse("xapi://root@pool"), {})


def test_errors_are_ours(tmp_path: Path) -> None:
    with furnished() as pool:
        host = host_on(pool, tmp_path)
        with pytest.raises(SkinnyboxError, match="does not know the call"):
            host._pool.call("VM.fly", "x")
        host.close()
