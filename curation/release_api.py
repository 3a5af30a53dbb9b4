"""What left the house, over the API: a release's files, whether it is still what it was, and what differs."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import project_for
from annotation.api.errors import ErrorOutput
from annotation.api.negotiating import AnyAccepted
from annotation.api.paging import refuse_unknown
from annotation.errors import Refused
from annotation.models import Role
from curation import reviewing, shelf
from curation.archiving import archive_of
from curation.models import Release


class FileOutput(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="As the manifest names it; fetch it by this name.")
    size = serializers.IntegerField(help_text="In bytes.")
    rows = serializers.IntegerField(allow_null=True, help_text="Empty for what is no table.")
    sha256 = serializers.CharField(help_text="Empty for the manifest and the list of checksums.")


class FilesOutput(serializers.Serializer[Any]):
    results = FileOutput(many=True)


class VerifiedOutput(serializers.Serializer[Any]):
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="Empty: every byte is as released, and every row follows."
    )


class MovedOutput(serializers.Serializer[Any]):
    reason = serializers.CharField()
    pairs = serializers.IntegerField()


class ChangeOutput(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=reviewing.KINDS, help_text="What became of the pairs, for programs.")
    change = serializers.CharField(
        source="says", help_text="The same in words, which go by the number: pair is new, pairs are gone, the same."
    )
    pairs = serializers.IntegerField()
    reasons = MovedOutput(many=True)


class DiffOutput(serializers.Serializer[Any]):
    results = ChangeOutput(many=True)
    refused = serializers.CharField(help_text="Why they were not compared; empty where they were.")


AGAINST = OpenApiParameter("against", OpenApiTypes.STR, required=True, description="The name of the earlier release.")


def _release(request: Request, slug: str, version: str) -> Release:
    """The release of a project that the account leads; 404 for anybody and anything else."""
    project = project_for(request.user, slug, role=Role.LEAD)
    found = Release.objects.filter(project=project, version=version).first() if "\0" not in version else None
    if found is None:
        raise Http404
    return found


class ReleaseFiles(APIView):
    @extend_schema(operation_id="releases_files", responses={200: FilesOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The files of a release, with their checksums. None, where its folder is not on this machine."""
        return Response(FilesOutput({"results": shelf.files_of(_release(request, slug, version))}).data)


class ReleaseFile(APIView):
    content_negotiation_class = AnyAccepted

    @extend_schema(
        operation_id="releases_file",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str, version: str, name: str) -> HttpResponseBase:
        """One file of a release, as it lies there."""
        file = shelf.path_of(_release(request, slug, version), name) if "\0" not in name else None
        if file is None:
            raise Http404
        return FileResponse(file.open("rb"), as_attachment=True, filename=file.name)


class ReleaseArchive(APIView):
    content_negotiation_class = AnyAccepted

    @extend_schema(
        operation_id="releases_archive", responses={(200, "application/zip"): OpenApiTypes.BINARY, 404: ErrorOutput}
    )
    def get(self, request: Request, slug: str, version: str) -> HttpResponseBase:
        """The whole folder of a release as one zip archive, made while it is sent; ranges of it cannot be asked for."""
        return archive_of(_release(request, slug, version))


class VerifyRelease(APIView):
    @extend_schema(operation_id="releases_verify", request=None, responses={200: VerifiedOutput, 404: ErrorOutput})
    def post(self, request: Request, slug: str, version: str) -> Response:
        """Derive every row again from the judgements. Of very many rows it names the command that does."""
        found = reviewing.verified(_release(request, slug, version))
        return Response(VerifiedOutput({"problems": found}).data)


class DiffReleases(APIView):
    @extend_schema(
        operation_id="releases_diff",
        parameters=[AGAINST],
        responses={200: DiffOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str, version: str) -> Response:
        """Which pairs came, went and changed since another release of the project, with counts by reason."""
        new = _release(request, slug, version)
        refuse_unknown(request, known={"against"})
        if not (against := request.query_params.get("against")):
            raise Refused("Say against which release: ?against=VERSION.")
        old = _release(request, slug, against)
        changes, refused = reviewing.changes(old, new)
        told = [one._asdict() | {"reasons": [{"reason": why, "pairs": n} for why, n in one.reasons]} for one in changes]
        return Response(DiffOutput({"results": told, "refused": refused}).data)


_ONE = "projects/<slug:slug>/releases/<str:version>"
urlpatterns = [
    path(f"{_ONE}/files", ReleaseFiles.as_view(), name="api_release_files"),
    path(f"{_ONE}/files/<path:name>", ReleaseFile.as_view(), name="api_release_file"),
    path(f"{_ONE}/archive", ReleaseArchive.as_view(), name="api_release_archive"),
    path(f"{_ONE}/verify", VerifyRelease.as_view(), name="api_release_verify"),
    path(f"{_ONE}/diff", DiffReleases.as_view(), name="api_release_diff"),
]
