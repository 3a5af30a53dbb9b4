"""The pages of curation: projects and their overview, the board, adjudication, releases, reports, judges."""

from django.urls import URLPattern, path

from curation.views import (
    added_up,
    adjudication,
    anchoring,
    board,
    difficulty,
    drafts,
    judges,
    overview,
    pairs,
    projects,
    releases,
    reports,
    representativeness,
)

overview_urls: list[URLPattern] = [
    path("projects", projects.projects, name="projects"),
    path("p/<slug:slug>/", overview.overview, name="overview"),
]

release_urls: list[URLPattern] = [
    path("p/<slug:slug>/releases", releases.releases, name="releases"),
    path("p/<slug:slug>/releases/new", drafts.draft, name="release_new"),
    path("p/<slug:slug>/releases/new/<key:run_id>", drafts.release_run, name="release_run"),
    path("p/<slug:slug>/releases/<str:version>", releases.release, name="release"),
    path("p/<slug:slug>/releases/<str:version>/all.zip", releases.release_archive, name="release_archive"),
    path("p/<slug:slug>/releases/<str:version>/<path:name>", releases.release_file, name="release_file"),
]

board_urls: list[URLPattern] = [
    path("p/<slug:slug>/board", board.board, name="board"),
    path("p/<slug:slug>/board/summary", board.summary, name="board_summary"),
    path("p/<slug:slug>/board/columns", board.columns, name="board_columns"),
    path("p/<slug:slug>/board/rows", board.rows, name="board_rows"),
    path("p/<slug:slug>/board/pairs/<key:pair_id>", pairs.pair, name="board_pair"),
    path("p/<slug:slug>/board/gather", board.gather, name="board_gather"),
    path("p/<slug:slug>/board/send", board.send, name="board_send"),
    path("p/<slug:slug>/board/put-back", pairs.put_back, name="board_put_back"),
    path("p/<slug:slug>/board/gold", pairs.gold, name="board_gold"),
    path("p/<slug:slug>/board/save", board.save, name="board_save"),
    path("p/<slug:slug>/board/compare", board.compare, name="board_compare"),
    path("p/<slug:slug>/board/groups", board.groups, name="board_groups"),
    path("p/<slug:slug>/board/release", board.release, name="board_release"),
]

adjudication_urls: list[URLPattern] = [
    path("p/<slug:slug>/adjudication", adjudication.adjudication, name="adjudication"),
    path("p/<slug:slug>/adjudication/undo", adjudication.take_back, name="adjudication_take_back"),
    path("p/<slug:slug>/adjudication/send", adjudication.send, name="adjudication_send"),
]

report_urls: list[URLPattern] = [
    path("p/<slug:slug>/reports", reports.reports, name="reports"),
    path("p/<slug:slug>/reports/agreement", reports.agreement, name="agreement_report"),
    path("p/<slug:slug>/reports/discretion", reports.discretion, name="discretion"),
    path("p/<slug:slug>/reports/people", reports.people, name="people_report"),
    path("p/<slug:slug>/reports/difficulty", difficulty.difficulty, name="difficulty"),
    path(
        "p/<slug:slug>/reports/representativeness",
        representativeness.representativeness,
        name="representativeness",
    ),
    path("p/<slug:slug>/reports/aggregation", added_up.aggregation, name="aggregation_report"),
    path("p/<slug:slug>/reports/faithfulness", added_up.faithfulness, name="faithfulness_report"),
    path("p/<slug:slug>/reports/anchoring", anchoring.anchoring, name="anchoring"),
    path("p/<slug:slug>/judges", judges.judges, name="judges"),
]

urlpatterns = overview_urls + board_urls + adjudication_urls + release_urls + report_urls
