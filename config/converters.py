"""How parts of an address are read."""

from __future__ import annotations

from django.urls.converters import IntConverter


class KeyConverter(IntConverter):
    """A primary key: a number that fits PostgreSQL's bigint. A larger one names nothing and is not looked up."""

    def to_python(self, value: str) -> int:
        key = int(value) if len(value) <= 19 else 2**63
        if key >= 2**63:
            raise ValueError("larger than any key")
        return key
