import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox import model, sizes
from skinnybox.errors import UsageError
from tests.samples import an_instance


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("512M", 512 << 20),
        ("1g", 1 << 30),
        ("1.5GiB", 3 << 29),
        ("2T", 2 << 40),
        ("10kB", 10240),
    ],
)
def test_sizes_parse(text: str, size: int) -> None:
    assert sizes.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1X", "1G1", "G", "1e3", "0.0001", "٣G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        sizes.parse_size(text)


@given(st.integers(min_value=1, max_value=1 << 50))
def test_a_size_is_shown_to_three_digits_or_so(size: int) -> None:
    shown = sizes.format_size(size)
    assert len(shown) <= 8
    assert abs(sizes.parse_size(shown) - size) <= size * 0.06


@pytest.mark.parametrize("name", ["a", "web-01", "0", "a" * 63])
def test_hostnames_are_names(name: str) -> None:
    assert model.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "Web", "a_b", "a.b", "a" * 64, "a\n", "../x", "é"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a machine name"):
        model.check_name(name)


def test_references() -> None:
    assert model.parse_reference("lamp:2026-11") == ("lamp", "2026-11")
    assert model.parse_reference("lamp") == ("lamp", None)
    for bad in ("", "Lamp", "lamp:", "a/b", "lamp:1:2", "lamp:../x"):
        with pytest.raises(UsageError):
            model.parse_reference(bad)
    with pytest.raises(UsageError, match="'Lamp' does not name a layer"):
        model.parse_reference("Lamp", "a layer")


def test_an_image_uuid_is_of_version_8_and_follows_the_digest() -> None:
    one = model.image_uuid("sha256:" + "ab" * 32)
    assert (one.version, one.variant) == (8, uuid.RFC_4122)
    assert one != model.image_uuid("sha256:" + "ac" * 32)


def test_a_mac_is_local_unicast_and_stable() -> None:
    def mac(identity: uuid.UUID) -> str:
        return an_instance(uuid=identity).mac

    one = uuid.UUID(int=1)
    assert mac(one) == mac(one)
    assert int(mac(one)[:2], 16) & 0b11 == 0b10
    assert len({mac(uuid.UUID(int=number)) for number in range(1000)}) == 1000
