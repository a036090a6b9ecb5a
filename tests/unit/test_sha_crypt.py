"""What a libc is to find again in /etc/shadow."""

import re

import pytest

from skinnybox.fleet.sha_crypt import hashed


@pytest.mark.parametrize(
    ("password", "salt", "text"),
    [
        (
            "Hello world!",
            "saltstring",
            "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        ("", "a", "Z6IPkDduHdwavesVY2NFMpOHkigshxPYdhfLg0D3A7/XFQcso9RV2E8qczyJ2su.dj6RRLaTpvgwN1rZfK0I9."),
        (
            "päss" * 33,
            "0123456789abcdef",
            ".aVppueRKgPR7POZ9NnyUTl1.jdSx/kB5ZXYgptQri5/7Zc.CcRaIyfZn67.rG5HQi4oTuVRbegi5M74GjVpE1",
        ),
        (
            "x" * 64,
            "./",
            "7DG2Y8WM0Pudz8gEy8iS3O4TLt9GnavPnlzunPjPU1bmwEnxT16/BGxgP8hw3nMvsR8k6Q4vXqTxbWEbeTgU6.",
        ),
    ],  # by glibc 2.36
)
def test_as_a_libc_has_it(password: str, salt: str, text: str) -> None:
    assert hashed(password, salt) == f"$6${salt}${text}"


def test_each_has_a_salt_of_its_own() -> None:
    one, other = hashed("same"), hashed("same")
    assert one != other and re.fullmatch(r"\$6\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}", one)
