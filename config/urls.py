"""The map of the house."""

from django.contrib import admin
from django.urls import include, path, register_converter

from config.converters import KeyConverter

register_converter(KeyConverter, "key")

urlpatterns = [
    # Before the sign-in library's own: annotation closes some of its pages.
    path("", include("annotation.urls")),
    path("", include("curation.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("annotation.api.urls")),
    path("api/v1/", include("curation.api")),
    path("api/v1/", include("curation.adjudication_api")),
    path("api/v1/", include("curation.release_api")),
    path("api/v1/", include("curation.selection_api")),
    path("api/v1/", include("curation.measuring_api")),
    path("api/v1/", include("curation.judge_api")),
]

handler403 = "annotation.views.errors.permission_denied"
handler404 = "annotation.views.errors.not_found"
handler500 = "annotation.views.errors.server_error"
