"""Addresses of our own pages."""

from urllib.parse import urlencode


def with_query(address: str, **values: object) -> str:
    """An address with those of the values that are any."""
    kept = {key: str(value) for key, value in values.items() if value not in (None, "")}
    return f"{address}?{urlencode(kept)}" if kept else address
