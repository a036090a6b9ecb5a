"""Archives of machines for who asks over a network."""

from starlette.requests import Request
from starlette.responses import Response

from skinnybox.fleet.exporting import Export
from skinnybox.gate import reach
from skinnybox.gate.downloads import download
from skinnybox.gate.principal import Principal
from skinnybox.gate.readings import awaited
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation

MEDIA = "application/zstd"


def refuse_others(request: Request, who: Principal, name: str) -> None:
    """NotFound for a machine that they do not reach."""
    reach.machine(fleet_of(request), who, name)


async def exported(request: Request, who: Principal, name: str, *, data: bool) -> Response:
    """Of a machine that they reach. Raises what `export` raises before it has written anything."""
    fleet = fleet_of(request)

    def write(output: int, operation: Operation) -> object:
        awaited([fleet.machine(name).instance.uuid], operation)
        return fleet.deltas.export(name, Export(file=None, output=output, data=data), operation)

    return await download(
        request, fleet.background, who.actor, "export", name, write, file=f"{name}.tar.zst", media=MEDIA
    )
