"""Files over the API: pairs, judgements or prompts in, a run to read, its refused lines, and what a check found in."""

from __future__ import annotations

from django.http import Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import account_of, project_for, run_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.negotiating import AnyAccepted
from annotation.api.runs import RunOutput
from annotation.importing import checking, receiving, sending, undoing, uploads
from annotation.importing.mapping import parse_mapping
from annotation.importing.options import HOLDS, Options
from annotation.models import Project, Role, Run

REFUSED = {400: ErrorOutput, 404: ErrorOutput}
TOO_LARGE = "It is larger than this address takes. The command import_pairs on the server takes files of any size."


class ImportInput(Input):
    file = serializers.FileField(help_text="JSON lines (also gzip), JSON, CSV, TSV, Parquet or Arrow.")
    holds = serializers.ChoiceField(choices=[*HOLDS], default="pairs")
    layout = serializers.CharField(
        max_length=40, default=checking.AUTO, help_text="As `--layout` takes it; `auto` recognises it."
    )
    map = serializers.ListField(
        child=serializers.CharField(max_length=400),
        default=[],
        max_length=40,
        help_text="Of pairs and prompts: FIELD=COLUMN, once for each field, as `--map` takes them.",
    )
    allow = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(checking.ALLOWABLE)),
        default=[],
        max_length=len(checking.ALLOWABLE),
        help_text="Of pairs: kinds of bad rows that come in, marked.",
    )
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=200, default="", allow_blank=True, help_text="Of pairs: only rows of this source."
    )
    judges = serializers.ListField(
        child=serializers.CharField(max_length=200),
        default=[],
        max_length=100,
        help_text="Of judgements: the ids of those annotators that are models.",
    )
    on_error = serializers.ChoiceField(
        choices=["stop", "skip"], default="stop", help_text="What bad rows do: nothing comes in, or the others do."
    )
    only_check = serializers.BooleanField(default=False, help_text="Check every row, and keep nothing.")


class Imports(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="imports_start",
        request={"multipart/form-data": ImportInput},
        responses={202: RunOutput, 413: ErrorOutput, 415: ErrorOutput, **REFUSED},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Send a file, and ask a worker to import it, or only to check it. Read the run to learn what came of it."""
        project = project_for(request.user, slug, role=Role.LEAD)
        if receiving.is_too_large(request.META.get("CONTENT_LENGTH") or ""):
            return Response({"detail": TOO_LARGE}, status=status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
        receiver = receiving.Receiver(request)
        request._request.upload_handlers = [receiver]
        try:
            run = _received(request, project, receiver)
        finally:
            receiver.tidy()
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


def _received(request: Request, project: Project, receiver: receiving.Receiver) -> Run:
    receiving.discard_old()
    given = ImportInput(data=request.data)
    given.is_valid(raise_exception=True)
    sent = given.validated_data
    run = sending.request_import_at_once(
        project=project,
        upload=receiver.arrived(),
        actor=account_of(request),
        options=Options(
            holds=sent["holds"],
            layout=sent["layout"],
            mapping=parse_mapping(sent["map"]),
            allow=frozenset(sent["allow"]),
            source=sent["source"],
            judges=frozenset(sent["judges"]),
        ),
        on_error=sent["on_error"],
        only_check=sent["only_check"],
    )
    receiver.keep()
    return run


def _import_of(request: Request, slug: str, run_id: int) -> Run:
    run = run_for(request.user, slug, run_id)
    if run.kind != Run.Kind.IMPORT:
        raise Http404
    return run


class ImportChecked(APIView):
    @extend_schema(operation_id="imports_take_in", request=None, responses={202: RunOutput, **REFUSED})
    def post(self, request: Request, slug: str, run_id: int) -> Response:
        """Import what a check found good. Asked twice, the first answer stands."""
        run = uploads.request_import(run=_import_of(request, slug, run_id), actor=account_of(request))
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


class UndoImport(APIView):
    @extend_schema(operation_id="imports_undo", request=None, responses={200: RunOutput, **REFUSED})
    def post(self, request: Request, slug: str, run_id: int) -> Response:
        """Delete the pairs or prompts that an import added, as long as nobody judged one, and no model answered one."""
        run = _import_of(request, slug, run_id)
        undoing.undo_import(run=run, actor=account_of(request))
        run.refresh_from_db()
        return Response(RunOutput(run).data)


class RefusedLines(APIView):
    content_negotiation_class = AnyAccepted

    @extend_schema(operation_id="imports_refused", responses={(200, "text/csv"): OpenApiTypes.STR, 404: ErrorOutput})
    def get(self, request: Request, slug: str, run_id: int) -> StreamingHttpResponse:
        """All refused lines of a check or an import, as CSV: line, reason, how to mend it, id, excerpt."""
        run = _import_of(request, slug, run_id)
        answer = StreamingHttpResponse(receiving.csv_lines(run.pk), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="refused-{run.pk}.csv"'
        return answer
