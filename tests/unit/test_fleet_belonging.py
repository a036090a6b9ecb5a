"""The word in a state folder that says where its machines are."""

from pathlib import Path

from skinnybox.fleet.catalog import host_kind


def test_what_a_killed_first_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".host.0a1b2c3d.new").write_text("qe")
    host_kind.note(tmp_path, "qemu")
    assert [path.name for path in tmp_path.iterdir()] == ["host"]
    assert host_kind.noted(tmp_path) == host_kind.QEMU
