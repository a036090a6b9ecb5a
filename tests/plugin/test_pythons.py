"""dom0's Pythons: 2.7 up to XCP-ng 8.2, 3.6 in 8.3 and XenServer 8, newer ones to come.

`vermin` reads the file for both. Those that are installed here run it: Debian 12 packages none of the two but
Jython (2.7); pyenv has them all.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from tests.emulators.xapi import EmulatedPool
from tests.emulators.xapi.plugins import DOM0
from tests.plugin.conftest import GIB, MASTER, PLUGIN, Dom0, furnished
from tests.xapi import records

VERMIN = Path(sys.executable).with_name("vermin")
JYTHON = ("/usr/share/java/jython.jar", "/usr/share/java/xercesImpl.jar")
"""Debian's `jython` leaves the XML parser out, which XML-RPC needs. In LC_ALL=C Java loses all but ASCII."""
WANTED = ("2.7", "3.6", "3.12")


def test_vermin_finds_nothing_newer_than_2_7_or_3_6() -> None:
    done = run.run([VERMIN, "-t=2.7-", "-t=3.6-", "--no-tips", "--violations", PLUGIN], ok=range(2))
    assert done.returncode == 0, done.stdout.decode()


def test_nothing_but_the_standard_library_and_xapis_own_modules() -> None:
    """And what is not in both Pythons is imported by either name."""
    imports = re.findall(r"^ *import ([\w.]+)", PLUGIN.read_text(), re.MULTILINE)
    common = ["base64", "json", "os", "re", "socket", "sys", "time", "traceback", "uuid"]
    assert imports == [
        *common, "XenAPI", "XenAPIPlugin", "http.client", "xmlrpc.client", "httplib", "xmlrpclib", "syslog",
    ]  # fmt: skip
    assert "print(" not in re.sub(r'""".*?"""|#.*', "", PLUGIN.read_text(), flags=re.DOTALL).replace(
        "print() fails", ""
    )


def names_in(node: ast.AST) -> Iterator[ast.Name]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Name))


def leaked(function: ast.FunctionDef) -> set[str]:
    """Names that have a value before a list comprehension that binds them too, and are read behind it."""
    scopes = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    comprehensions = [each for each in ast.walk(function) if isinstance(each, scopes)]
    inner = {name for each in comprehensions for name in names_in(each)}
    own = sorted(set(names_in(function)) - inner, key=lambda name: (name.lineno, name.col_offset))
    found = set()
    for each in comprehensions:
        for part in each.generators if isinstance(each, ast.ListComp) else ():
            for target in names_in(part.target):
                same = [name for name in own if name.id == target.id]
                told = any(name.lineno < each.lineno for name in same)
                read = next((name for name in same if name.lineno > (each.end_lineno or 0)), None)
                given = target.id in {argument.arg for argument in function.args.args}
                if read and isinstance(read.ctx, ast.Load) and (told or given):
                    found.add(target.id)
    return found


def test_no_list_gives_a_name_of_its_function_another_value() -> None:
    """In Python 2 it did: a machine got the name of its last layer. `vermin` does not look for that."""
    functions = [
        node for node in ast.walk(ast.parse(PLUGIN.read_text())) if isinstance(node, ast.FunctionDef)
    ]
    assert {each.name: leaked(each) for each in functions if leaked(each)} == {}


def found(version: str) -> str | None:
    """A Python of that version that really runs: on the PATH, or one of pyenv's."""
    names = [f"python{version}"]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names += [str(each) for each in sorted(root.glob(f"versions/{version}.*/bin/python"))]
    for name in names:
        try:
            run.run([name, "-c", "pass"])
        except (CommandFailed, OSError):
            continue
        return name
    return None


def command(python: str) -> str:
    """As dom0 runs plugins: in the C locale, and leaving no bytecode about."""
    if python == "jython":
        if not all(Path(each).exists() for each in JYTHON):
            pytest.skip(
                "not installed: apt install jython libxerces2-java (30 MB, and a Java runtime: 190 MB)"
            )
        return f"env LC_ALL=C.UTF-8 java -cp {':'.join(JYTHON)} org.python.util.jython -B"
    program = found(python)
    if program is None:
        pytest.skip(f"there is no Python {python} here")
    return f"env LC_ALL=C PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={DOM0}:{DOM0 / 'python2'} {program}"


@pytest.fixture(params=[*WANTED, pytest.param("jython", marks=pytest.mark.full)])
def old(request: pytest.FixtureRequest, plugins: Path) -> Iterator[Dom0]:
    python = command(request.param)
    with EmulatedPool(plugins=plugins, python=python) as pool, pool.session() as api:
        yield furnished(pool, api)


def test_every_function_under_dom0s_pythons(old: Dom0) -> None:
    assert old.call("version")["functions"]
    old.thin_template(overlay="64M", network="lan")
    made = old.batch(start="true", authorized_keys="ssh-ed25519 AAAA x")
    assert [each["started"] for each in made["machines"]] == [True, True]
    for number, name in enumerate(("site:1", "größe:1"), 1):
        old.layer(name, number)
    assert [each["name"] for each in old.call("layers", master="lamp:1")["layers"]] == ["größe:1", "site:1"]
    assert old.provision("idle", overlay="32M", layers="site:1, größe:1")["name"] == "idle"
    old.take_off("idle", "5", "0")
    assert old.call("list")["machines"][0]["missing"] == ["master", "layer größe:1"]
    assert old.call("attach", name="idle")["attached"] == ["layer größe:1", "master"]
    machines = old.call("list")["machines"]
    assert [each["name"] for each in machines] == ["idle", "web-01", "web-02"]
    assert [each["layers"] for each in machines] == [["site:1", "größe:1"], [], []]
    assert old.call("capacity", machines="40", master="lamp:1")["srs"][0]["clones_take"]
    assert old.call("delete", name="web-02", force="true")["overlays"] == 1
    assert old.names() == ["idle", "web-01"]


def test_other_than_ascii_under_dom0s_pythons(old: Dom0) -> None:
    """In the C locale, where a Python 3.6 reads its arguments as ASCII and cannot print anything else."""
    old.api.VDI.create(records.disk(old.sr, GIB, name_label="größe 日本", other_config=MASTER))
    old.thin_template(name="dünn ☃")
    made = old.provision(template="dünn ☃", master="größe 日本")
    assert old.call("list")["machines"][0]["master"] == "größe 日本"
    refused = old.refused("provision", template="ähnlich", master="lamp:1", name="web-02")
    assert refused == ["SKINNYBOX_NOT_FOUND", "template", "\\xe4hnlich"]
    assert made["name"] == "web-01"


def test_an_interrupted_call_is_undone_under_dom0s_pythons(old: Dom0) -> None:
    old.thin_template()
    before = old.counts()
    old.pool.faults.drop_before("*", at=20, times=1 << 20)
    failed = old.refused("batch", template="thin", master="lamp:1", prefix="web-", last="2")
    assert failed[0] == "SKINNYBOX_NO_ANSWER"
    old.pool.faults.clear()
    assert old.refused("delete", name="nobody")[0] == "SKINNYBOX_NOT_FOUND"
    assert old.counts() == before
