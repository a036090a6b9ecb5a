import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, SkinnyboxError, UsageError
from skinnybox.masters import build, namespace
from skinnybox.masters.recipe import Copy, Recipe
from skinnybox.operation import Operation, Step


@pytest.fixture
def nasty(tmp_path: Path) -> Recipe:
    folder = tmp_path / 'it\'s $(a) "folder"'
    folder.mkdir()
    (folder / "file").write_text("content")
    (folder / "file").chmod(0o751)
    return Recipe(
        copy=(
            Copy(source=folder, dest="/srv/a b'c", mode=0o750, owner="www-data:www-data"),
            Copy(source=folder / "file", dest="/file"),
        ),
        scripts=("echo 'it'\"'\"'s' $(date)\ncat <<X\n'\nX", "#!/usr/bin/env perl\nprint 'a';"),
    )


def test_every_hook_is_good_shell(nasty: Recipe, tmp_path: Path) -> None:
    hooks = dict(build.hooks(nasty))
    assert len(hooks) == 8
    for name, text in hooks.items():
        (tmp_path / name).write_text(text)
        run.run(["sh", "-n", tmp_path / name])


def test_hooks_copy_before_the_scripts_run_and_settle_after_them(nasty: Recipe) -> None:
    names = [name for name, _ in build.hooks(nasty)]
    assert names == sorted(names, key=lambda name: (name.startswith("customize"), name))
    assert names.index("customize20-copy-002") < names.index("customize30-script-001")
    assert names.index("customize90-settle") > names.index("customize30-script-002")


def _chroot(folder: Path) -> dict[str, str]:
    """A `chroot` that only goes there: paths stay those of this machine."""
    folder.mkdir()
    (folder / "chroot").write_text('#!/bin/sh\ncd "$1"; shift\nexec "$@"\n')
    (folder / "chroot").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_copies_put_content_mode_and_owner_in_place(nasty: Recipe, tmp_path: Path) -> None:
    env, dest = _chroot(tmp_path / "bin"), tmp_path / "to" / "it's"
    owner = f"{os.getuid()}:{os.getgid()}"
    folder, file = nasty.copy
    wanted = (
        Copy(source=folder.source, dest=f"{dest}/d", mode=0o700, owner=owner),
        Copy(source=file.source, dest=f"{dest}/f", owner=owner),
    )
    for name, text in build.hooks(Recipe(copy=wanted)):
        if "copy" in name:
            run.run(["sh", "-eu", "-c", text, "hook", tmp_path], env=env)
    assert (dest / "d").stat().st_mode & 0o7777 == 0o700
    assert [(dest / name).read_text() for name in ("d/file", "f")] == ["content"] * 2
    assert (dest / "f").stat().st_mode & 0o7777 == 0o751


def test_a_scripts_failure_fails_the_hook(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    text = dict(build.hooks(Recipe(scripts=("false; true",))))["customize30-script-001"]
    with pytest.raises(CommandFailed):
        run.run(["sh", "-eu", "-c", text, "hook", tmp_path], env=_chroot(tmp_path / "bin"))


def test_every_master_gets_what_a_guest_needs() -> None:
    names = build.packages(Recipe(packages=("less", "udev"), kernel="linux-image-amd64"), "bookworm")
    assert {"systemd-sysv", "openssh-server", "systemd-resolved"} <= set(names)
    assert "apt" in names  # of Ubuntu's smallest system it is no part
    assert names.count("udev") == 1 and "less" in names and "linux-image-amd64" in names
    assert "systemd-resolved" not in build.packages(Recipe(kernel="linux-image-amd64"), "bullseye")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("E: Unable to locate package frob\nE: apt-get failed", UsageError, "package frob"),
        ("E: Package 'frob' has no installation candidate", UsageError, "package frob"),
        ("frob: not found\nE: command failed: /x/hooks/customize30-script-002", UsageError, "script 2"),
        ("E: Failed to fetch http://x/ Could not connect", CommandFailed, "cannot be fetched"),
        ("W: Temporary failure resolving 'deb.example'", CommandFailed, "cannot be fetched"),
        ("E: Failed to fetch http://x/linux.deb  404  Not Found", CommandFailed, "cannot be fetched"),
        ("", CommandFailed, "ended with 25"),
        ("E: something else", CommandFailed, "something else"),
        (
            "chroot: failed to run command 'frob'\nE: setup failed: E: command failed: /x/hooks/a\n"
            "I: main() received signal PIPE: waiting for setup...\nE: mmdebstrap failed to run",
            CommandFailed,
            "cannot be installed: chroot: failed to run command 'frob'",
        ),
    ],
)
def test_what_mmdebstrap_says_is_said_in_our_words(said: str, kind: type[SkinnyboxError], words: str) -> None:
    found = build.explained(CommandFailed("mmdebstrap ended with 25", returncode=25, stderr=said))
    assert type(found) is kind
    assert words in found.message


@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ("E: Failed to fetch http://x/a.deb  404  Not Found", "leave that source out"),
        ("Err:1 x 404  Not Found\nE: The repository 'x' does not have a Release file.", "suite's name"),
        ("E: Failed to fetch http://x/a.deb  Could not connect", "the network"),
    ],
)  # fmt: skip
def test_what_could_not_be_fetched_has_its_own_hint(why: str, hint: str) -> None:
    warned = "W: Download is performed unsandboxed\nW: something else\n"
    found = build.explained(CommandFailed("", returncode=25, stderr=warned + why))
    assert hint in str(found.hint)
    assert found.message.startswith("packages cannot be fetched: E: ")


def test_progress_goes_forward_and_names_no_path() -> None:
    steps: list[Step] = []
    report = build.Reported(Operation(steps.append))
    for line in (
        "I: running apt-get update...",
        "noise",
        "I: installing remaining packages inside the chroot...",
        "I: running --customize-hook directly: /a/hooks/customize20-copy-001 /a/tree",
        "I: extracting archives...",
    ):
        report(line)
    assert [step.done for step in steps] == [0, 4, 4, 4]
    assert [step.detail for step in steps][:3] == [
        "running apt-get update", "installing remaining packages inside the chroot", "copy-001",
    ]  # fmt: skip


def test_the_way_into_a_namespace_leads_to_root_or_says_what_is_missing() -> None:
    if not namespace.needed():
        assert namespace.require_root() is None  # type: ignore[func-returns-value]
    elif namespace.why_not() is None:
        said = run.run([*namespace.argv_prefix(), "id", "-u"]).stdout
        assert said == b"0\n"
    else:
        assert "run" in (namespace.why_not() or "")


@pytest.mark.parametrize(
    "said",
    [
        "useradd: UID 450 is not unique",
        "groupadd: GID '999' already exists",
        "The UID 400 is already in use.",
    ],
)
def test_a_script_that_takes_a_machines_number_is_told_whose_it_is(said: str) -> None:
    failed = CommandFailed("failed", stderr=f"{said}\nE: run: /w/customize30-script-001 failed")
    told = build.explained(failed)
    assert isinstance(told, UsageError)
    assert (
        told.hint is not None and told.hint.startswith("400 to 999 are machines' own") and said in told.hint
    )
    other = build.explained(CommandFailed("failed", stderr=failed.stderr.replace("4", "1").replace("9", "1")))
    assert other.hint is not None and "machines' own" not in other.hint
