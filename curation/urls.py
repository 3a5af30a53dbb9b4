"""The pages of curation: projects and their overview, releases, reports, judges."""

from django.urls import URLPattern, path

from curation.views import judges, overview, projects, releases, reports

overview_urls: list[URLPattern] = [
    path("projects", projects.projects, name="projects"),
    path("p/<slug:slug>/", overview.overview, name="overview"),
]

release_urls: list[URLPattern] = [
    path("p/<slug:slug>/releases", releases.releases, name="releases"),
    path("p/<slug:slug>/releases/<str:version>", releases.release, name="release"),
    path("p/<slug:slug>/releases/<str:version>/<path:name>", releases.release_file, name="release_file"),
]

report_urls: list[URLPattern] = [
    path("p/<slug:slug>/reports/discretion", reports.discretion, name="discretion"),
    path("p/<slug:slug>/judges", judges.judges, name="judges"),
]

urlpatterns = overview_urls + release_urls + report_urls
