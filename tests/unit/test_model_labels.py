"""Labels as they are typed, and what a filter means."""

import pytest

from skinnybox.errors import UsageError
from skinnybox.model.labels import MOST, MOST_VALUE, filtered, labels_of, parse_filter, parse_label


def test_labels_are_in_the_order_of_their_keys() -> None:
    assert labels_of({"site": "b", "role": "web"}) == (("role", "web"), ("site", "b"))
    assert parse_label("a.b/c-d_0=x=y z") == ("a.b/c-d_0", "x=y z") and parse_label("role=") == ("role", "")
    assert len(labels_of({f"k{number}": "x" * MOST_VALUE for number in range(MOST)})) == MOST


@pytest.mark.parametrize(
    "text", ["", "role", "=web", "Role=web", "-a=b", "a-=b", "a b=c", "ro\u00e4=x", "a" * 64 + "=x",
             "state=x", "name=x", "master=x", "fleet=x", "a=" + "x" * (MOST_VALUE + 1),
             "a=\x1b[31m", "a=b\n", "!a=b"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_label(text)


def test_there_are_not_too_many() -> None:
    with pytest.raises(UsageError, match=f"{MOST} are the most"):
        labels_of({f"k{number}": "" for number in range(MOST + 1)})


@pytest.mark.parametrize(
    ("texts", "means"),
    [
        (["role=web"], True), (["role=db"], False), (["role!=db"], True), (["role!=web"], False),
        (["role"], True), (["!role"], False), (["none"], False), (["!none"], True), (["none!=x"], True),
        (["empty="], True), (["empty!="], False), (["none="], False), (["role=web", "state=ready"], True),
        (["role=web", "state=stopped"], False), (["equals=a=b"], True),
    ],
)  # fmt: skip
def test_what_a_filter_means(texts: list[str], means: bool) -> None:
    words = {"role": "web", "empty": "", "state": "ready", "equals": "a=b"}
    assert filtered(texts)(words) is means


@pytest.mark.parametrize("text", ["", "!", "=", "=x", "!=x", "A", "!!a", "a b", "a*"])
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(UsageError):
        parse_filter(text)
