"""The register of models, for site admins: read only. Pages and `manage.py models` write it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import models_for
from annotation.api.errors import ErrorOutput
from annotation.api.paging import PAGE_PARAMETERS, paged
from annotation.models import LanguageModel


class LanguageModelOutput(serializers.ModelSerializer[LanguageModel]):
    is_sound = serializers.BooleanField(allow_null=True, help_text="What the last check found; null: none was made.")
    is_usable = serializers.BooleanField(help_text="It is allowed and was found sound: runs may use it.")

    class Meta:
        model = LanguageModel
        fields = [
            "id",
            "name",
            "backend",
            "name_there",
            "location",
            "revision",
            "digest",
            "is_toy",
            "registered_at",
            "allowed_at",
            "is_sound",
            "checked_at",
            "check_said",
            "check_run",
            "is_usable",
        ]


class LanguageModelPage(serializers.Serializer[Any]):
    results = LanguageModelOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class LanguageModels(APIView):
    @extend_schema(
        operation_id="models_list",
        parameters=PAGE_PARAMETERS,
        responses={200: LanguageModelPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request) -> Response:
        """The models that workers may load or ask: where they lie, who may use them, what a check found."""
        return paged(request, models_for(request.user), LanguageModelOutput)
