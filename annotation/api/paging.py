"""Pages by key: `after` is the last number seen. Stays fast at any depth and does not shift while rows arrive."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

M = TypeVar("M", bound=Model)

LIMIT, MOST = 100, 1000
LARGEST_KEY = 2**63 - 1


class PageInput(serializers.Serializer[Any]):
    after = serializers.IntegerField(
        min_value=0, max_value=LARGEST_KEY, default=0, help_text="Rows after this number; 0 or absent: from the start."
    )
    limit = serializers.IntegerField(min_value=1, max_value=MOST, default=LIMIT, help_text="How many rows.")


PAGE_PARAMETERS = [PageInput]


def refuse_unknown(request: Request, *, known: set[str]) -> None:
    """A parameter that is not known is an error, never ignored: a misspelt filter must not answer with everything."""
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise ValidationError(
            {"detail": f"Unknown parameter {', '.join(unknown)}. Known are: {', '.join(sorted(known))}."}
        )


def asked(request: Request, filters: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """What a request filters by, as `filters` reads it; what is not asked for is absent. Raises ValidationError."""
    names = list(filters().fields)
    given = filters(data={name: request.query_params[name] for name in names if name in request.query_params})
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def paged(
    request: Request, rows: QuerySet[M], output: type[serializers.Serializer[Any]], *, filters: Collection[str] = ()
) -> Response:
    """One page of `rows` by primary key: {"results": [...], "next": number or null}.

    `filters` are the parameters that the operation reads besides `after` and `limit`; any other is refused.
    """
    refuse_unknown(request, known={"after", "limit", *filters})
    page = PageInput(data={k: request.query_params[k] for k in ("after", "limit") if k in request.query_params})
    page.is_valid(raise_exception=True)
    limit = page.validated_data["limit"]
    found = list(rows.filter(pk__gt=page.validated_data["after"]).order_by("pk")[: limit + 1])
    following = found[limit - 1].pk if len(found) > limit else None
    return Response({"results": output(found[:limit], many=True).data, "next": following})
