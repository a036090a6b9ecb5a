"""Prometheus' text format (version 0.0.4), as far as it is needed.

prometheus_client would bring a registry of its own, in which what the catalog and the host know is kept a
second time, and machines that are gone stay. Of what is asked for at the moment three kinds of lines are all.
"""

from collections.abc import Iterable, Mapping

MEDIA = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float | int]


def metric(name: str, kind: str, what: str, samples: Iterable[Sample]) -> str:
    """`kind` is gauge or counter. Nothing without samples."""
    lines = [_line(name, labels, value) for labels, value in samples]
    return _head(name, kind, what) + "".join(lines) if lines else ""


def histogram(
    name: str,
    what: str,
    bounds: Iterable[float],
    found: Mapping[str, tuple[list[int], float, int]],
    label: str,
) -> str:
    """Of each value of the label how many were no larger than each bound, their sum and their number."""
    lines: list[str] = []
    bounds = [*bounds]
    for value, (buckets, total, count) in sorted(found.items()):
        for bound, number in zip([*map(_number, bounds), "+Inf"], [*buckets, count], strict=True):
            lines.append(_line(f"{name}_bucket", {label: value, "le": bound}, number))
        lines += [_line(f"{name}_sum", {label: value}, total), _line(f"{name}_count", {label: value}, count)]
    return _head(name, "histogram", what) + "".join(lines) if lines else ""


def _head(name: str, kind: str, what: str) -> str:
    return f"# HELP {name} {what}\n# TYPE {name} {kind}\n"


def _line(name: str, labels: Labels, value: float | int) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{said}}} {_number(value)}\n" if said else f"{name} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float | int) -> str:
    return repr(round(value, 6)) if isinstance(value, float) else str(value)
