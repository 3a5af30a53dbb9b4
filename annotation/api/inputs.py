"""What is sent to the API: a field that nobody reads is an error, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError


class Input(serializers.Serializer[Any]):
    """A body, or a part of one. What is misspelt or belongs to another operation must not be stored without it.

    Raises ValidationError: a field is unknown, with those that are known.
    """

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := sorted(map(str, {*data} - {*self.fields}))):
            said = f"Unknown field. Known are: {', '.join(sorted(self.fields))}."
            raise ValidationError({name[:60]: [said] for name in unknown})
        return super().to_internal_value(data)
