"""Mistakes in fleet files: all told at once, each at its line and column; nothing that takes for ever."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from skinnybox.errors import UsageError
from skinnybox.fleet.spec.marked import MOST_BYTES, MOST_VALUES
from skinnybox.fleet.spec.reading import parse
from tests.samples import PUBLIC_KEY

HEAD = "version: 1\nfleet: w\nmachines:\n"


def mistakes(text: str | bytes, folder: Path = Path("/nowhere")) -> list[str]:
    """`LINE:COLUMN: what`, each."""
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(UsageError) as caught:
        parse(content, folder / "f")
    head, *lines = caught.value.message.split("\n")
    assert head.endswith(f" in {folder}/f")
    return [line.removeprefix(f"{folder}/f:") for line in lines]


MANY = f"""\
version: 2
flet: widgets
defaults:
  master: Lamp
  memroy: 1G
  address: 10.0.0.1/24
machines:
  web-{{1..3}}:
    overlay: big
    cpus: many
    network: wan
    addresses: [10.0.0.1/24, 10.0.0.300/24]
    ssh_keys:
      - {PUBLIC_KEY}
      - admin.pub
      - {{file: nothing.pub}}
      - {{path: x}}
    files:
      - {{target: etc/motd, content: x}}
      - {{target: /etc/motd, content: x, mode: 0999}}
      - {{target: /etc/motd}}
      - {{source: gone, target: /x, owner: root}}
    state: runing
  Db: {{}}
  web-2: 5
  web-3:
    sparse: maybe
    dns: 10.0.0.1
    sparse: true
"""


def test_all_mistakes_are_told_at_once_each_at_its_place(tmp_path: Path) -> None:
    assert mistakes(MANY, tmp_path) == [
        "1:1: 'fleet' is missing",
        "1:10: version: expected 1, not 2",
        "2:1: 'flet' is not known here: did you mean fleet?",
        "4:11: master: 'Lamp' does not name a master; NAME or NAME:VERSION, as in lamp:2026-11",
        "5:3: 'memroy' is not known here: did you mean memory?",
        "6:3: 'address' does not belong here, but into a group of `machines`",
        "9:14: overlay: 'big' is not a size; write a number and K, M, G or T: 512M, 1.5G",
        "10:11: cpus: expected a whole number, not 'many'",
        "11:14: network: expected 'passt', 'restricted', 'open' or 'bridge', not 'wan'",
        "12:30: '10.0.0.300/24' is not ADDRESS/PREFIX; as in 10.7.0.5/24",
        "15:9: 'admin.pub' is no public key; in a fleet file, one that lies in a file is {file: PATH}",
        f"16:9: {tmp_path}/nothing.pub does not exist",
        "17:9: 'file' is missing",
        "17:10: 'path' is not known here: there are file",
        "19:9: 'etc/motd' is not a path a seed can carry; absolute, printable ASCII, no . or .. in it",
        "20:47: mode: '0999' is not an octal mode, as in 0644",
        "21:9: a file has either `source` or `content`",
        "22:43: owner: 'root' is not user:group of the guest",
        "23:12: state: expected 'running', 'stopped' or 'unmanaged', not 'runing'",
        "24:3: 'Db' is not a machine name; lower-case letters, digits and inner hyphens, at most 63: web-01",
        "25:10: web-2: expected `key: value` lines, not 5",
        "26:3: web-3 is in 'web-{1..3}', line 8, already",
        "27:13: sparse: expected true or false, not 'maybe'",
        "28:10: dns: expected a list, with a - before each, not '10.0.0.1'",
        "29:5: 'sparse' is given twice, first in line 27",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: there is nothing in it"),
        ("# nothing\n", "1:1: there is nothing in it"),
        ("- a\n- b\n", "1:1: expected `key: value` lines, not a list"),
        ("version: 1\n  fleet: x\n", "2:8: not YAML: mapping values are not allowed here"),
        ("a: [1, 2\n", "2:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("version: 1\n\tfleet: x\n", "2:1: not YAML: found character '\\t' that cannot start any token"),
        (b"version: 1\nfleet: \xff\n", "2:8: not UTF-8"),
        (b"version: 1\nfl\x00eet: 1\n", "2:3: not YAML: special characters are not allowed"),
        ("a: 1\n---\nb: 2\n", "2:1: not YAML: but found another document"),
        ("a: *b\n", "1:4: not YAML: found undefined alias 'b'"),
    ],
)
def test_what_is_no_fleet_file_at_all(text: str | bytes, told: str) -> None:
    assert mistakes(text)[0] == told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("  a: !!python/object:os.system {}\n", "4:6: the tag !!python/object:os.system is not read here"),
        ("  a: {<<: {cpus: 2}, master: m}\n", "4:7: << is not read here: `defaults` holds what groups have"),
        ("  ? [a, b]\n  : {}\n", "4:5: a key is a text"),
        ("  a:\n", "4:3: no `master`, neither here nor in `defaults`"),
        ("  a: {master: m, layers: [Site]}\n", "4:27: 'Site' does not name a layer; NAME or NAME:VERSION"),
        ("  'a-{1..3': {master: m}\n", "4:3: 'a-{1..3' is not a machine name"),
        ("  'a-{3..1}': {master: m}\n", "4:3: 'a-{3..1}': the range 3..1 runs backwards"),
        ("  'a-{1..999999}': {master: m}\n", "4:3: more than 100000 names"),
        ("  a: {master: m, network: bridge}\n", "4:27: `network: bridge` and `bridge: NAME` go together"),
        ("  a: {master: m, bridge: b, network: open}\n", "4:38: `network: bridge` and `bridge: NAME` go"),
        ("  a: {master: m, gateway: 10.0.0.1}\n", "4:18: gateway goes with `address` or `addresses`"),
        ("  a: {master: m, address: 10.0.0.1}\n", "4:27: address: '10.0.0.1' is not ADDRESS/PREFIX"),
        ("  'a-{1..9}': {master: m, address: 10.0.0.1/29}\n", "4:36: 10.0.0.0/29 has no room for 9 machines"),
        ("  'a-{1..2}': {master: m, addresses: [10.0.0.1/29]}\n", "4:38: 1 addresses for 2 machines"),
        ("  'a-{1..2}': {master: m, address: '10.0.0.{1..3}/29'}\n", "4:36: 3 addresses for 2 machines"),
        ("  'a-{1..2}': {master: m, address: '10.0.0.{6..7}/29'}\n", "4:36: 10.0.0.7 is the broadcast"),
        (
            "  a: {master: m, address: 10.0.0.1/29, gateway: 10.0.0.1}\n",
            "4:27: machine 1 of 1 would get the gateway's, 10.0.0.1",
        ),
        ("  a: {master: m, address: 10.0.0.2/29, gateway: '::1'}\n", "4:27: gateway ::1 is of another"),
        ("  a: {master: m, address: 10.0.0.2/29, addresses: []}\n", "4:51: either `address` or `addresses`"),
        (
            "  a: {master: m, address: 10.0.0.2/29}\n  b: {master: m, address: 10.0.0.2/8}\n",
            "5:27: 10.0.0.2 is given twice, first in 'a'",
        ),
        ("  a: {master: m, ssh_keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']}\n", "4:29: that is a private"),
        (
            "  a: {master: m, files: [{target: /a, content: x}, {target: /a, content: y}]}\n",
            "4:25: /a is written by two files",
        ),
        ("  a: {master: m, run_once: [x]}\n", "4:28: run_once: expected a text or {file: PATH}, not a list"),
        ("  a: {master: m, timezone: ../x}\n", "4:28: timezone: '../x' is not a time zone; as in"),
        ("  a: {master: m, locale: 'de DE'}\n", "4:26: locale: 'de DE' is not a locale; as in de_DE.UTF-8"),
        ("  a: {master: m, ntp: [a, 'b c']}\n", "4:27: 'b c' is not a server's name or address"),
        ("  a: {master: m, users: [{groups: [adm]}]}\n", "4:26: 'name' is missing"),
        ("  a: {master: m, users: [{name: a, group: []}]}\n", "4:36: 'group' is not known here"),
        ("  a: {master: m, users: [{name: A}]}\n", "4:33: name: 'A' is not a user's name"),
        ("  a: {master: m, users: [{name: a, shell: sh}]}\n", "4:26: 'sh' is not a shell"),
        ("  a: {master: m, users: [{name: a, password_hash: x}]}\n", "4:26: the password_hash of a is none"),
        ("  a: {master: m, users: [{name: a}, {name: a}]}\n", "4:3: there are two users a"),
        ('  a: {master: m, user_data: "\\uD800"}\n', "4:29: user_data: 'utf-8' codec can't encode"),
        ("  a: {master: m, user_data: [x]}\n", "4:29: user_data: expected a text or {file: PATH}"),
        ("  a: {master: m, user_data: {file: nope}}\n", "4:29: user_data: /nowhere/nope does not exist"),
        ("  a: {master: m, memory: yes}\n", "4:26: memory: expected a size, as in 512M or 1.5G"),
        ("  a: {master: 12}\n", "4:15: master: expected a text, not 12"),
        ("  a: {master: m, cpus: 2000}\n", "4:24: cpus: 2000 is too large"),
    ],
)  # fmt: skip
def test_one_mistake(lines: str, told: str) -> None:
    assert mistakes(HEAD + lines)[0].startswith(told)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (4 << 20) + b"x")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "private").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    text = HEAD + (
        "  a:\n    master: m\n    run_once: {file: binary}\n    ssh_keys: [{file: private}]\n    files:\n"
        "    - {source: ., target: /a}\n    - {source: /dev/zero, target: /b}\n"
        "    - {source: large, target: /c}\n"
    )
    assert mistakes(text, tmp_path) == [
        "6:15: run_once: binary is not a text",
        "7:16: that is a private key: it belongs to nobody else; the public one ends in .pub",
        f"9:7: {tmp_path}: Is a directory",
        "10:7: /dev/zero: not a regular file",
        f"11:7: {tmp_path}/large: larger than 4 MiB; large files belong in the master",
    ]


def test_a_seed_that_is_too_large_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (3 << 20))
    files = "".join(f"    - {{source: big, target: /f{number}}}\n" for number in range(3))
    assert mistakes(HEAD + f"  a:\n    master: m\n    files:\n{files}", tmp_path)[0].startswith(
        "4:3: a seed of"
    )


def test_bombs_are_refused_and_not_opened() -> None:
    laughs = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert any(f"more than {MOST_VALUES} values" in told for told in mistakes("x0: &x0 ha\n" + laughs))
    assert "nested more than 16 deep" in mistakes("a: " + "[" * 100_000)[0]
    assert "nested more than 16 deep" in mistakes("a: " + "{a: " * 10_000)[0]
    assert "nested more than 16 deep" in mistakes("a: &a [*a]\n")[0]
    assert mistakes("a" * (MOST_BYTES + 1)) == ["1:1: larger than 1 MiB"]
    assert f"more than {MOST_VALUES} values" in mistakes("a: [" + "1," * 200_000 + "]")[0]


def test_only_so_many_mistakes_are_told() -> None:
    lines = "".join(f"  a-{number}: {{mastr: x}}\n" for number in range(80))
    told = mistakes(HEAD + lines)
    assert (len(told), told[-1]) == (51, "... and 110 more")


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_file_or_mistakes(content: bytes) -> None:
    try:
        parse(content, Path("/nowhere/f"))
    except UsageError as error:
        assert ":" in error.message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(PUBLIC_KEY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["master", "files", "target", "content", "ssh_keys", "file", "address", "addresses",
                         "network", "bridge", "memory", "mode", "state", "a", "web-{1..3}"]),
        inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["version", "fleet", "defaults", "machines"]), VALUES))
def test_any_values_give_a_file_or_mistakes(values: dict[str, object]) -> None:
    try:
        parse(yaml.safe_dump({"version": 1, "fleet": "x", **values}).encode(), Path("/nowhere/f"))
    except UsageError as error:
        assert "mistake" in error.message


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        ("maybe", "4:29: replay: expected true or false, not 'maybe'"),
        ("{without: nano}", "4:39: without: expected a list, with a - before each, not 'nano'"),
        ("{without: [-x y]}", "4:40: '-x y' is no name of a package; one such as php-fpm"),
        ("{instead: {a b: c-1}}", "4:40: 'a b' is no name of a package; one such as php-fpm"),
        ("{instead: {a-1: b c}}", "4:45: a-1: 'b c' is no name of a package; one such as php-fpm"),
        (
            "{without: [a-1], instead: {a-1: b-1}}",
            "4:29: replay: a-1 has another in its place, and is left out",
        ),
        ("{after: [' ']}", "4:38: ' ' is no command of one line; a script can be put there"),
        ('{after: ["a\\nb"]}', "4:38: 'a\\nb' is no command of one line; a script can be put there"),
        ("{afterwards: [a]}", "4:30: 'afterwards' is not known here: did you mean after?"),
        ("{check: a}", "4:30: 'check' does not belong here, but into a group of `machines`"),
        ("true, without: [a]", "4:35: 'without' does not belong here, but below `replay`"),
    ],
)
def test_mistakes_about_what_comes_again(said: str, mistake: str) -> None:
    assert mistakes(f"{HEAD}  a: {{master: lamp, replay: {said}}}\n") == [mistake]
