"""The pages of annotation: entrances, judging, people, guidelines, imports, runs, templates, models."""

from django.urls import URLPattern, path

from annotation.views import (
    answers,
    entrances,
    guidelines,
    health,
    imports,
    judging,
    languages,
    models,
    offers,
    people,
    projects,
    ranking,
    runs,
    templates,
    training,
)

entrance_urls: list[URLPattern] = [
    path("", entrances.home, name="home"),
    path("enter/<str:token>/", entrances.enter, name="enter"),
    path("join/<str:token>/", entrances.join, name="join"),
    path("account", entrances.account, name="account"),
    path("account/token", entrances.token, name="account_token"),
    path("account/token/make", entrances.token_make, name="token_make"),
    path("account/token/revoke", entrances.token_revoke, name="token_revoke"),
    path("language", languages.set_language, name="set_language"),
    path("health", health.health, name="health"),
    # What the sign-in library offers and this house does not have. These stand before its own patterns.
    path("accounts/email/", entrances.not_here),
    path("accounts/confirm-email/", entrances.not_here),
    path("accounts/confirm-email/<str:key>/", entrances.not_here),
    path("accounts/login/code/confirm/", entrances.not_here),
]

project_urls: list[URLPattern] = [
    path("projects/new", projects.project_new, name="project_new"),
    path("p/<slug:slug>/people", people.people, name="people"),
    path("p/<slug:slug>/people/invite", people.invite_people, name="invite"),
    path("p/<slug:slug>/people/invitations/<int:invitation_id>/withdraw", people.withdraw_invitation, name="withdraw"),
    path("p/<slug:slug>/people/<int:annotator_id>/role", people.set_role, name="set_role"),
    path("p/<slug:slug>/people/<int:annotator_id>/close", people.close_place, name="close_place"),
    path("p/<slug:slug>/people/<int:annotator_id>/open", people.open_place, name="open_place"),
    path("p/<slug:slug>/settings", projects.settings, name="settings"),
    path("p/<slug:slug>/settings/state", projects.set_state, name="set_state"),
    path("p/<slug:slug>/guideline", guidelines.guideline, name="guideline"),
    path("p/<slug:slug>/guideline/new", guidelines.guideline_new, name="guideline_new"),
    path("p/<slug:slug>/guideline/acknowledge", guidelines.acknowledge, name="acknowledge"),
    path("p/<slug:slug>/guideline/<int:version>", guidelines.guideline_version, name="guideline_version"),
]

judging_urls: list[URLPattern] = [
    path("p/<slug:slug>/judge", judging.judge, name="judge"),
    path("p/<slug:slug>/judge/draft", judging.draft, name="draft"),
    path("p/<slug:slug>/judge/undo", judging.undo, name="undo"),
    path("p/<slug:slug>/judge/forget", judging.forget, name="forget"),
    path("p/<slug:slug>/judge/beat", judging.beat, name="beat"),
    path("p/<slug:slug>/judge/ready", judging.ready, name="ready"),
    path("p/<slug:slug>/judge/guideline", judging.judge_guideline, name="judge_guideline"),
    path("p/<slug:slug>/judge/<int:assignment_id>/raw", judging.raw, name="raw"),
    path("p/<slug:slug>/judge/reasons", offers.reasons, name="reasons"),
    path("p/<slug:slug>/judge/reasons/draw", offers.draw, name="draw_reasons"),
    path("p/<slug:slug>/judge/reasons/undo", offers.take_back, name="take_back_reason"),
    path("p/<slug:slug>/training", training.training, name="training"),
    path("p/<slug:slug>/training/disagree", training.disagree, name="disagree"),
    path("p/<slug:slug>/answers", answers.answers, name="answers"),
    path("p/<slug:slug>/answers/<int:assignment_id>", answers.answer, name="answer"),
]

ranking_urls: list[URLPattern] = [
    path("p/<slug:slug>/rank", ranking.rank, name="rank"),
    path("p/<slug:slug>/rank/draft", ranking.rank_draft, name="rank_draft"),
    path("p/<slug:slug>/rank/beat", ranking.rank_beat, name="rank_beat"),
    path("p/<slug:slug>/rank/undo", ranking.rank_undo, name="rank_undo"),
    path("p/<slug:slug>/rankings", ranking.rankings, name="rankings"),
    path("p/<slug:slug>/rankings/<int:turn_id>", ranking.ranking_again, name="ranking_again"),
]

import_urls: list[URLPattern] = [
    path("p/<slug:slug>/import", imports.imports, name="imports"),
    path("p/<slug:slug>/import/<key:run_id>", imports.import_run, name="import_run"),
    path("p/<slug:slug>/import/<key:run_id>/refused.csv", imports.refused_csv, name="import_refused"),
]

run_urls: list[URLPattern] = [
    path("p/<slug:slug>/runs", runs.runs, name="runs"),
    path("p/<slug:slug>/runs/<key:run_id>", runs.run, name="run"),
    path("p/<slug:slug>/runs/<key:run_id>/log", runs.run_log, name="run_log"),
    path("p/<slug:slug>/templates", templates.templates, name="templates"),
    path("p/<slug:slug>/templates/<slug:kind>/new", templates.template_new, name="template_new"),
    path("p/<slug:slug>/templates/<slug:kind>/<slug:name>", templates.template, name="template"),
    path("models", models.models, name="models"),
    path("models/<key:model_id>", models.model, name="model"),
]

urlpatterns = entrance_urls + project_urls + judging_urls + ranking_urls + import_urls + run_urls
