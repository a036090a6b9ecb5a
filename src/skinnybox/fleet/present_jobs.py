"""The stable form of jobs; see present.py."""

from skinnybox.fleet.jobs import Job
from skinnybox.fleet.present import Record


def job(found: Job) -> Record:
    """Times are ISO 8601; `results` one for each machine, its `error` null when it is done."""
    return {
        "job": found.number,
        "verb": found.verb,
        "subjects": list(found.subjects),
        "state": str(found.condition),
        "actor": found.actor,
        "origin": found.origin,
        "begun": found.begun,
        "ended": found.ended,
        "step": found.step,
        "error": found.error,
        "results": [{"name": result.name, "error": result.error} for result in found.results],
        "log": found.log,
    }
