"""What a rebase by hand of real machines fell into: each trap by its name, with its cure and the test that
holds it. Without the cure that test fails, which the long tier tries in a copy of the source."""

import ast
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from skinnybox import run

ROOT = Path(__file__).parents[2]
SOURCE = "src/skinnybox"


class Trap(NamedTuple):
    """`cure` is text of `file`, once, and `without` what stands there without it. `test` is a test that fails
    then, by file and name."""

    what: str
    file: str
    cure: str
    without: str
    test: str


_REBASE, _UNIT = f"{SOURCE}/delta/rebase", "tests/unit/test_rebase"
TRAPS = {
    "T1": Trap(
        what="account numbers move between two builds of one master",
        file=f"{_REBASE}/accounts.py",
        cure="if before != after}",
        without="if before < 0}",
        test=f"{_UNIT}_accounts.py::test_two_packages_more_in_a_recipe_move_a_machine_that_touched_nothing",
    ),
    "T1, of a machine's own /etc/group": Trap(
        what="a setgid program is somebody's else",
        file=f"{_REBASE}/examining.py",
        cure="elif entry is not None and not hidden:",
        without="elif False:",
        test="tests/image/test_rebase_examined.py::test_accounts_that_stayed_give_the_masters_files_to_others",
    ),
    "T2": Trap(
        what="dpkg says the old version, and the new one runs",
        file=f"{_REBASE}/files.py",
        cure="found = of_diverted(place, self._context) or by_package(place, self._context)",
        without="found = of_diverted(place, self._context)",
        test=f"{_UNIT}_packages.py::test_files_of_a_package_that_the_machine_upgraded_first_give_way_with_it",
    ),
    "T3": Trap(
        what="`apt-get check` passes, and programs find no library",
        file=f"{_REBASE}/examining.py",
        cure="yield from lacking(self._counted(suspected(suspects, trees)), trees)",
        without="yield from ()",
        test="tests/image/test_rebase_examined.py::test_a_library_that_is_gone_is_told_once_for_all_who_need_it",
    ),
    "T4": Trap(
        what="maintainer scripts never ran on the machine's data",
        file=f"{_REBASE}/records/status.py",
        cure='return _with(stanza, Stage(before.want, b"ok", _UNPACKED, configured))',
        without="return stanza",
        test=f"{_UNIT}_status.py::test_the_database_says_what_runs",
    ),
    "T5": Trap(
        what="services come with the new master, and open ports",
        file=f"{_REBASE}/services.py",
        cure="for unit in sorted(starts.keys() - started.keys()):",
        without="for unit in ():",
        test=f"{_UNIT}_rules.py::test_services_that_will_start_and_stop",
    ),
    "T6": Trap(
        what="an opaque mark that a rename made is taken for a decision",
        file=f"{_REBASE}/files.py",
        cure="if (_is_folder(old) or before is not None) and choice",
        without="if choice",
        test=f"{_UNIT}_files.py::test_a_mark_that_a_rename_made_is_no_decision",
    ),
    "T7": Trap(
        what="two packages own one path",
        file=f"{_REBASE}/owners.py",
        cure="if owned and owned.machine and",
        without="if not owned and",
        test=f"{_UNIT}_packages.py::test_one_path_of_two_packages_blocks_and_names_the_way_out",
    ),
    "T8": Trap(
        what="a removed package grows",
        file=f"{_REBASE}/of_packages.py",
        cure="elif owned.new and place.old is None and place.new is not None",
        without="elif False and place.new is not None",
        test=f"{_UNIT}_packages.py::test_a_package_that_was_removed_and_grew_is_hidden_all_the_same",
    ),
    "T9": Trap(
        what="what is generated is kept",
        file=f"{_REBASE}/files.py",
        cure="FileClass.GENERATED: Fate.REGENERATE,",
        without="FileClass.GENERATED: Fate.KEEP,",
        test=f"{_UNIT}_files.py::test_paths_that_no_comparison_decides",
    ),
    "T10": Trap(
        what="a symlink that somebody replaced by a file is in dispute, where the masters agree",
        file=f"{_REBASE}/one_file.py",
        cure="if old is not None and old.what == new.what:",
        without="if False:",
        test=f"{_UNIT}_files.py::test_one_path",
    ),
    "T11": Trap(
        what="a kernel of the machine's own is kept, and boots nothing",
        file=f"{_REBASE}/packages.py",
        cure="return _INEFFECTIVE",
        without='return ""',
        test=f"{_UNIT}_packages.py::test_a_kernel_of_the_machines_own_is_told_to_do_nothing",
    ),
    "T12": Trap(
        what="what was made for the old release's Python is seen by no checker",
        file=f"{_REBASE}/bound.py",
        cure="if not _has(there, what):",
        without="if False:",
        test=f"{_UNIT}_rules.py::test_it_is_reported_when_the_new_stack_lacks_that_version",
    ),
    "T13": Trap(
        what="a snapshot's master is removed",
        file=f"{SOURCE}/fleet/masters_kept.py",
        cure="of = [each for each in found if each.master == master.id]",
        without="of = [each for each in found if not each.master]",
        test="tests/fleet/test_rebase_kept.py::test_the_masters_that_are_needed_stay",
    ),
    "T14": Trap(
        what="an image is rewritten in place",
        file=f"{SOURCE}/hosts/local/copies.py",
        cure="    beside.replace(target)\n\n\ndef _keep_promise",
        without="    target.write_bytes(beside.read_bytes())\n\n\ndef _keep_promise",
        test="tests/fleet/test_rebase_do.py::test_no_image_is_written_in_place",
    ),
    "T15": Trap(
        what="a machine is ready, and its services are not there",
        file=f"{SOURCE}/fleet/trials.py",
        cure="return bool(report.inactive_units) or",
        without="return",
        test="tests/fleet/test_rebase_do.py::test_what_is_not_ready_has_its_old_system_back",
    ),
    "T16": Trap(
        what="what is the same as the new master's is dropped below a mark that hides that",
        file=f"{_REBASE}/files.py",
        cure="        if cut.dropped:\n            yield self._below_taken",
        without="        if True:\n            yield self._below_taken",
        test=f"{_UNIT}_files.py::test_below_such_a_folder_nothing_is_dropped",
    ),
    "a UUID that is used again": Trap(
        what="the kernel takes two files for one, as the new master has that UUID and those inode numbers",
        file=f"{_REBASE}/outcome.py",
        cure='("origin", "impure",',
        without='("impure",',
        test="tests/image/test_rebase_do.py::"
        "test_two_files_are_not_one_where_the_new_master_has_the_same_uuid_and_numbers",
    ),
}


def _names(file: Path) -> dict[str, str]:
    """Tests, and what is said of each."""
    parsed = ast.parse(file.read_text())
    return {n.name: ast.get_docstring(n) or "" for n in parsed.body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("name", TRAPS)
def test_each_has_a_cure_and_a_test(name: str) -> None:
    trap = TRAPS[name]
    assert (ROOT / trap.file).read_text().count(trap.cure) == 1
    file, _, test = trap.test.partition("::")
    assert test in _names(ROOT / file)


def test_all_of_them_are_there() -> None:
    numbers = {int(number[1]) for name in TRAPS if (number := re.match(r"T(\d+)", name))}
    assert numbers == set(range(1, 17))


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", TRAPS)
def test_without_its_cure_it_is_seen(name: str, tmp_path: Path) -> None:
    trap = TRAPS[name]
    if trap.test.startswith("tests/image") and os.geteuid() != 0:
        pytest.skip("that one mounts an overlay, which needs root")
    shutil.copytree(ROOT / SOURCE, tmp_path / SOURCE, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "guest").symlink_to(ROOT / "guest")
    file = tmp_path / trap.file
    file.write_text(file.read_text().replace(trap.cure, trap.without))
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not full",
        "-p",
        "no:cacheprovider",
        trap.test,
    ]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "PYTEST_ADDOPTS": ""}
    ended = run.run(words, cwd=ROOT, env=env, ok=(0, 1), timeout=900)
    said = ended.stdout.decode()
    assert ended.returncode == 1 and re.search(r"\d+ failed", said), said
    assert " error" not in said.splitlines()[-1], said
