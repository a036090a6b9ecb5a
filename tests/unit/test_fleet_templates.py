"""What each machine of a fleet file has of its own: templates, and the tables they draw on."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinnybox.errors import UsageError
from skinnybox.fleet.spec import carried, filling
from skinnybox.fleet.spec.content import try_seed
from skinnybox.fleet.spec.reading import parse
from skinnybox.fleet.spec.templates import filled, table_of, values_of
from skinnybox.model import StaticNetwork, fields
from tests.unit.test_fleet_spec_mistakes import HEAD, mistakes

ROW = values_of("web-07", 3, {"site": "a.example"})


def machines(text: str, folder: Path = Path("/nowhere")) -> dict[str, Any]:
    return {m.name: m.specification for m in parse(text.encode(), folder / "f").machines}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", ""),
        ("{name} {index} {number} {site}", "web-07 3 7 a.example"),
        ("{{name}} {{ }} {{{name}}}", "{name} { } {web-07}"),
        ("a\n{site}{site}\n", "a\na.examplea.example\n"),
    ],
)
def test_what_is_filled_in(text: str, made: str) -> None:
    assert filled(text, ROW) == made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{sit}", "web-07 has no {sit}: it has index, name, number, site"),
        ("one\n two {sit}\n", "line 2 of it: web-07 has no {sit}"),
        ("\n\n{\n", "line 3 of it: a { by itself; one that is to stay is doubled"),
        ("body { color: red }", "a { by itself"),
        ("}", "a } by itself"),
        ("{}", "a { by itself"),
        ("{Name}", "a { by itself"),
        ("{name!r}", "a { by itself"),
        ("{name.__class__}", "a { by itself"),
        ("{{name}", "a } by itself"),
    ],
)
def test_what_has_no_value_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        filled(text, ROW)
    assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    ("name", "number"),
    [("web-07", "7"), ("db2-x", "2"), ("r1-rack-12", "12"), ("a-00", "0"), ("lamp", None)],
)
def test_the_number_is_the_last_of_the_name(name: str, number: str | None) -> None:
    assert values_of(name, 1, {}).get("number") == number


@given(st.text(), st.dictionaries(st.from_regex("[a-z]{1,3}", fullmatch=True), st.text()))
@settings(max_examples=60)
def test_what_is_doubled_comes_back_and_values_are_not_looked_into(text: str, row: dict[str, str]) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    for key, value in row.items():
        assert filled(f"{doubled}{{{key}}}", {**row, "name": "x"}).startswith(text + value) or key == "name"


CSV = '\ufeffname,site,ip\r\nweb-1,"a, the first",10.0.0.7\r\n\r\nweb-2,,10.0.0.9\r\n'


def test_a_table_of_a_spreadsheet() -> None:
    assert table_of(CSV) == {
        "web-1": {"site": "a, the first", "ip": "10.0.0.7"},
        "web-2": {"ip": "10.0.0.9"},  # an empty field is no value
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column is called `name`"),
        ("name;site\n", "line 1: no column is called `name`"),
        ("name,site,site\n", "line 1: two columns have the same name"),
        ("name,Site\n", "'Site' is no name of a value"),
        ("name,index\n", "'index' is what every machine has by itself"),
        ("name,site\na,b\nc\n", "line 3: 1 fields, not 2"),
        ("name,site\na,b\na,c\n", "line 3: 'a' is there twice"),
        ('name,site\na,"b\n', "line 2: unexpected end of data"),
        (f"name,site\na,{'x' * 200_000}\n", "line 2: field larger than field limit"),
    ],
)
def test_tables_that_are_none(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        table_of(text)
    assert refused.value.message.startswith(said)


FLEET = """\
version: 1
fleet: w
defaults: {master: m}
machines:
  web-{1..2}:
    values: {web-1: {site: a.example, port: 8080}, web-2: {site: b.example, port: 8081}}
    hostname: "{name}-b"
    address: "10.0.{number}.5/24"
    gateway: "10.0.{number}.1"
    dns: ["10.0.{index}.3"]
    run_once: {template: "echo {site} {{}}"}
    files:
      - {target: "/etc/{site}", content: "Listen {port}", template: true}
      - {target: "/etc/{plain}", content: "body {{ color: red }}"}
  db-9: {run_once: "echo ${HOME} {name}"}
"""


def test_each_machine_has_its_own() -> None:
    found = machines(FLEET)
    for number, site, port in ((1, "a.example", 8080), (2, "b.example", 8081)):
        own = found[f"web-{number}"]
        assert (own.hostname, own.run_once) == (f"web-{number}-b", f"echo {site} {{}}")
        assert own.static_network == StaticNetwork(
            address=f"10.0.{number}.5/24", gateway=f"10.0.{number}.1", dns=(f"10.0.{number}.3",)
        )
        assert [(file.path, file.content) for file in own.files] == [
            (f"/etc/{site}", f"Listen {port}".encode()),
            ("/etc/{plain}", b"body {{ color: red }}"),  # no template: as it always was
        ]
    assert (found["db-9"].run_once, found["db-9"].hostname) == ("echo ${HOME} {name}", None)


def test_files_and_tables_beside_the_fleet_file(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("name,site\nweb-1,a\nweb-2,b\nspare,c\n")
    (tmp_path / "vhost").write_text("ServerName {site}.example\n")
    (tmp_path / "once").write_text("#!/bin/sh\necho {site}\n")
    (tmp_path / "binary").write_bytes(b"\xff\0")
    text = (
        HEAD.replace("machines", "defaults: {master: m, values: {file: sites.csv}}\nmachines")
        + "  web-{1..2}:\n    run_once: {template: {file: once}}\n"
        "    files: [{target: /v, source: vhost, template: true}, {target: /b, source: binary}]\n"
        "  web-3: {values: {web-3: {site: own}}, run_once: {template: '{site}'}}\n"
    )
    found = machines(text, tmp_path)
    assert [file.content for file in found["web-2"].files] == [b"ServerName b.example\n", b"\xff\0"]
    assert (found["web-1"].run_once, found["web-3"].run_once) == ("#!/bin/sh\necho a\n", "own")
    (tmp_path / "vhost").write_text("ServerName {site}\nAlias {www}\n")
    assert mistakes(text, tmp_path) == [
        "7:34: line 2 of it: web-1 has no {www}: it has index, name, number, site"
    ]
    odd = text.replace("source: binary}", "source: binary, template: true}")
    assert "7:79: binary is not a text: it is no template" in mistakes(odd, tmp_path)
    (tmp_path / "sites.csv").write_text("name,site\nweb-1,a\nweb-1,b\n")
    assert mistakes(text, tmp_path) == ["3:31: sites.csv: line 3: 'web-1' is there twice"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("  a-1: {master: m, hostname: '{x}'}\n", "4:30: a-1 has no {x}: it has index, name, number"),
        ("  a: {master: m, hostname: '{number}'}\n", "4:28: a has no {number}: it has index, name"),
        ("  a: {master: m, hostname: '{name}.example'}\n", "4:28: 'a.example' is not a machine name"),
        ("  a: {master: m, run_once: {template: 'a\n\n      b {x}'}}\n", "4:28: line 2 of it: a has no {x}"),
        ("  a: {master: m, run_once: {template: x, file: y}}\n", "4:42: either file or template, not both"),
        (
            "  a: {master: m, files: [{target: /a, content: '{x}', template: true}]}\n",
            "4:48: a has no {x}",
        ),
        (
            "  a: {master: m, files: [{target: '/{x}', content: '', template: true}]}\n",
            "4:35: a has no {x}",
        ),
        ("  a: {master: m, values: {b: {x: y}}}\n", "4:27: b is no machine of this group"),
        ("  a: {master: m, values: {a: {name: y}}}\n", "4:26: values: 'name' is what every machine has"),
        ("  a: {master: m, values: {a: {x-y: y}}}\n", "4:26: values: 'x-y' is no name of a value"),
        ("  a: {master: m, values: {a: {x: true}}}\n", "4:34: x: expected a text, not true"),
        ("  a: {master: m, values: [a]}\n", "4:26: values: expected `key: value` lines, not a list"),
        ("  a: {master: m, values: {file: gone}}\n", "4:26: values: /nowhere/gone does not exist"),
        ("  a: {master: m, address: '{ip}/24'}\n", "4:27: a has no {ip}: it has index, name"),
        ("  a-{1..2}: {master: m, address: '10.0.0.5{index}/24', gateway: '10.0.0.5{index}'}\n", "4:34: "
         "machine 1 of 2 would get the gateway's, 10.0.0.51"),
        ("  a-{1..2}: {master: m, address: '10.0.0.5/24', gateway: '10.0.{index}.1'}\n",
         "4:34: gateway 10.0.1.1 is not in 10.0.0.0/24"),
        ("  a-{1..2}: {master: m, address: '{name}/24'}\n", "4:34: 'a-1/24' is not ADDRESS/PREFIX"),
        ("  a-{1..2}: {master: m, files: [{target: /a, content: '', template: true}, {target: '/{index}', "
         "content: '', template: true}, {target: '/2', content: ''}]}\n", "4:32: /2 is written by two files"),
    ],
)  # fmt: skip
def test_mistakes_in_what_is_filled_in(lines: str, told: str) -> None:
    found = mistakes(HEAD + lines)
    assert found[0].startswith(told), found


def test_a_table_in_defaults_may_name_all_machines_of_the_file_and_no_others() -> None:
    text = HEAD.replace(
        "machines", "defaults: {master: m, values: {a: {x: '1'}, b: {x: '2'}, c: {x: '3'}}}\nmachines"
    )
    assert mistakes(text + "  a:\n  b:\n") == ["3:58: c is no machine here"]
    assert machines(text + "  a: {run_once: {template: '{x}'}}\n  b:\n  c:\n")["a"].run_once == "1"


def test_a_machine_may_be_called_file() -> None:
    text = "  file: {master: m, values: {file: {x: y}}, run_once: {template: '{x}'}}\n"
    assert machines(HEAD + text)["file"].run_once == "y"


def test_a_few_lines_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "MOST_MADE", 10_000)
    text = "  'a-{1..999}': {master: m, run_once: {template: '" + "x" * 100 + "'}}\n"
    assert mistakes(HEAD + text) == ["4:39: templates of this file make more than 9.8K"]


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_csv_is_a_table_or_a_mistake(content: bytes) -> None:
    try:
        table_of(content.decode("utf-8", "replace"))
    except UsageError as error:
        assert error.message


def test_what_would_not_fit_a_seed_is_not_made_first() -> None:
    with pytest.raises(UsageError, match=r"makes more than 8\.0M"):
        filled("{x}" * 10_000, {"name": "a", "x": "y" * 100_000})


def test_a_password_of_digits_is_not_said_again() -> None:
    told = str(mistakes(HEAD + "  a: {master: m, users: [{name: bob, password_hash: 12345678}]}\n"))
    assert "password_hash: expected a text" in told and "12345678" not in told


def test_what_is_the_same_for_all_is_packed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It was packed for each machine: half a minute for 400 with 3 MB of files."""
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    packed: list[int] = []
    held: list[int] = []

    def pack(user: str = "root", **parts: Any) -> bytes:
        packed.append(len(made := try_seed(user, **parts)))
        return made

    monkeypatch.setattr(carried, "try_seed", pack)
    monkeypatch.setattr(carried, "refuse_too_large", held.append)
    text = (
        "  'a-{8..107}': {master: m, hostname: '{name}-x', run_once: {template: 'echo {index}'}, user: admin,"
        " timezone: UTC, files: [{target: /big, source: big}, {target: '/{name}', content: '{name}\\n',"
        " template: true}]}\n"
    )
    found = machines(HEAD + text, tmp_path)
    whole = [len(try_seed(of.ssh_user, **fields.given(of, fields.SEED))) for of in found.values()]
    assert held == whole and len(set(whole)) > 1
    assert sum(packed) < 2 * whole[0]


def test_a_seed_that_is_too_large_for_one_machine_only_is_told(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (3 << 20))
    values = f"values: {{a-2: {{x: {'y' * 700_000}}}, a-1: {{x: y}}}}"
    files = ", ".join(f"{{target: '/{number}', content: '{{x}}', template: true}}" for number in range(5))
    text = f"  'a-{{1..2}}': {{master: m, {values}, files: [{{target: /big, source: big}}, {files}]}}\n"
    assert [told.split(" is too")[0] for told in mistakes(HEAD + text, tmp_path)] == ["4:3: a seed of 8.7M"]


LONG = 'x:y/\x1b[2J\u202e"' * 2000
PLACES = (
    "hostname: '{v}'",
    "address: '{v}'",
    "address: '10.0.0.1/24', gateway: '{v}'",
    "address: '10.0.0.1/24', dns: ['{v}']",
    "addresses: ['{v}', '{v}']",
    "address: ['{v}', '10.0.0.1/24'], gateway: fe80::1",
    "address: ['{v}', '10.0.0.1/24'], gateway: 10.0.0.2",
    "nics: [{bridge: br0, address: '{v}'}]",
    "files: [{target: '{v}', content: '', template: true}]",
    "files: [{target: '/{v}', content: '', template: true}]",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_value_of_a_table_is_told_so_far_as_says_which_it_is(place: str, tmp_path: Path) -> None:
    """It was told whole, be it a megabyte, and with what a terminal obeys."""
    (tmp_path / "t.csv").write_text('name,v\n"a-1","' + LONG.replace('"', '""') + '"\n"a-2",x\n')
    found = mistakes(HEAD + f"  'a-{{1..2}}': {{master: m, values: {{file: t.csv}}, {place}}}\n", tmp_path)
    assert found and all(len(line) < 260 and line.isprintable() for line in found), max(map(len, found))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('name,"{}"\na-1,x\n', "is no name of a value"),
        ('name,v\n"{0}",x\n"{0}",y\n', "is there twice"),
    ],
)
def test_so_is_what_else_is_in_it(table: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(table.format(LONG.replace('"', '""')))
    [told] = mistakes(HEAD + "  a-1: {master: m, values: {file: t.csv}}\n", tmp_path)
    assert words in told and len(told) < 260 and told.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        '"{}": {{master: m}}',
        'a: {{master: "{}"}}',
        'a: {{master: m, "{}": 1}}',
        'a: {{master: m, "{0}": 1, "{0}": 2}}',
        'a: {{master: m, memory: "{}"}}',
        'a: {{master: m, throw_away: "{}"}}',
        'a: {{master: m, swap: "{}"}}',
        'a: {{master: m, user: "{}"}}',
        'a: {{master: m, bridge: "{}{}"}}',
        'a: {{master: m, timezone: "{}"}}',
        'a: {{master: m, ntp: ["{}"]}}',
        'a: {{master: m, ssh_keys: ["{}"]}}',
        'a: {{master: m, labels: {{"{}": b}}}}',
        'a: {{master: m, labels: {{"{}": 1}}}}',
        'a: {{master: m, forwards: ["{}"]}}',
        'a: {{master: m, data: {{size: 1G, folders: ["{}"]}}}}',
        'a: {{master: m, users: [{{name: "{}"}}]}}',
        'a: {{master: m, users: [{{name: a, shell: "{}"}}]}}',
        'a: {{master: m, files: [{{target: "{}", content: ""}}]}}',
        'a: {{master: m, files: [{{target: /a, content: "", owner: "{}"}}]}}',
        'a: {{master: m, files: [{{target: /a, content: "", mode: "{}"}}]}}',
        'a: {{master: m, values: {{"{}": {{x: y}}}}}}',
        'a: {{master: m, values: {{a: {{"{}": y}}}}}}',
        'a: {{master: m, address: "{}"}}',
        'a: {{master: m, dns: ["{}"]}}',
        "a: {{master: m, run_once: !<{}> x}}",
    ],
)
def test_and_whatever_else_stands_in_a_fleet_file(line: str) -> None:
    value = "x" * 3000 if "!<" in line else "x\\e[2J" + "y" * 3000
    found = mistakes(HEAD + "  " + line.format(value, value) + "\n")
    assert found and all(len(told) < 600 and told.isprintable() for told in found), max(map(len, found))
    assert not any("y" * 100 in told or "x" * 100 in told for told in found)
