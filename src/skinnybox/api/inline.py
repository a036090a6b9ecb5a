"""A JSON Schema in one piece, for a body that is looked at by fleet/spec and not by FastAPI: so its mistakes
are told as those of a fleet file are."""

from typing import Any


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Without definitions, which stand where they are used instead; none of ours leads back to itself."""
    definitions = schema.get("$defs", {})

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            if (reference := value.get("$ref")) is not None:
                rest = {key: inner for key, inner in value.items() if key != "$ref"}
                return plain({**definitions[reference.rpartition("/")[2]], **rest})
            return {key: plain(inner) for key, inner in value.items() if key != "$defs"}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    found: dict[str, Any] = plain(schema)
    return found
