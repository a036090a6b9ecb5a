"""What a layer by a recipe would hold, asked in a browser: the log of a job has it, and nothing is sealed."""

from pathlib import Path

import pytest

from skinnybox.fleet.tokens import Role
from skinnybox.model import Master
from skinnybox.model.promotion import Going, LayerContents
from skinnybox.web import layers
from tests.fleet import test_layer_build as building
from tests.web.conftest import Console
from tests.web.test_work_pages import ended, of, post

box, _busybox = building.box, building._busybox


def test_it_is_told_as_far_as_a_page_goes(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Going(path=b"opt/%d\x1b" % number, files=1, size=2) for number in range(layers.SHOWN + 2)]
    contents = LayerContents(going=tuple(rows), left_out=())
    monkeypatch.setattr(console.fleet.layers, "would_build", lambda *_, **__: contents)
    admin, operator = console.browser(Role.ADMIN), console.browser(Role.OPERATOR)
    said = {"reference": "tool:1", "above": "tiny", "recipe": "scripts: [x]", "do": "preview"}
    assert post(operator, "/layers/build", **said)[0] == 403
    _, there = post(admin, "/layers/build", **said)
    job = ended(console, of(there))
    assert (job.verb, job.subjects, job.error) == ("layer build --dry-run", ("tool:1",), None)
    lines = job.log.splitlines()
    assert (len(lines), lines[0]) == (layers.SHOWN + 1, r"goes /opt/0\x1b 2")
    assert lines[-1] == "and 2 more: the API has them all"


@pytest.mark.full
@building.NEEDS_BUSYBOX
def test_a_recipe_is_run_and_nothing_is_sealed(console: Console, box: Master, tmp_path: Path) -> None:
    admin = console.browser(Role.ADMIN)
    assert 'value="preview"' in admin.get("/layers/new").text
    recipe = building.written(tmp_path, building.SCRIPT).read_text()
    said = {"reference": "tool:1", "above": "box", "recipe": recipe, "do": "preview"}
    job = ended(console, of(post(admin, "/layers/build", **said)[1]))
    assert job.error is None and "goes /opt 8" in job.log and "left out folder /srv" in job.log, job
    assert console.fleet.layers.all() == []
