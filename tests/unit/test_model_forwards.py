"""Ports of the host that lead into a machine, as they are typed."""

import pytest

from skinnybox.errors import UsageError
from skinnybox.model import Forward
from skinnybox.model.forwards import MOST, check_together, parse_forward


def test_a_port_is_the_loopbacks_unless_an_address_is_given() -> None:
    assert parse_forward("8080:80") == Forward(address="127.0.0.1", port=8080, to=80)
    assert parse_forward("0.0.0.0:65535:65535") == Forward(address="0.0.0.0", port=65535, to=65535)
    assert str(parse_forward("8080:80")) == "127.0.0.1:8080:80" == str(parse_forward("127.0.0.1:8080:80"))


@pytest.mark.parametrize(
    "wrong",
    ["", "80", "8080:", ":80", "8080:80/udp", "80:80", "1023:80", "65536:80", "8080:0", "8080:65536",
     "8080:80:x", "256.0.0.1:8080:80", "1.2.3:8080:80", "::1:8080:80", "localhost:8080:80", "8080:80\n",
     "20000:22", "31999:80", "8080:\uff180", "-1:80", " 8080:80", "8" * 400 + ":80"],
)  # fmt: skip
def test_what_is_none(wrong: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_forward(wrong)
    assert len(told.value.message) < 200


def test_one_machine_has_each_once() -> None:
    check_together([Forward(port=8080, to=80), Forward(port=8081, to=80)])
    check_together([Forward(port=8080, to=80), Forward(address="127.0.0.2", port=8080, to=80)])
    for wrong in (
        [Forward(port=8080, to=80), Forward(address="0.0.0.0", port=8080, to=81)],
        [Forward(port=8080 + number, to=80) for number in range(MOST + 1)],
        [Forward(port=80, to=80)],
    ):
        with pytest.raises(UsageError):
            check_together(wrong)
