"""The addresses of annotation's API."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from annotation.api.gold import MarkGold
from annotation.api.imports import ImportChecked, Imports, RefusedLines, UndoImport
from annotation.api.judgements import Assignments, Judgements, LastJudgement, MyJudgements, OneAnswer
from annotation.api.language_models import LanguageModels
from annotation.api.leading import Guidelines, Invitations, Settings, State
from annotation.api.people import ClosePlace, OneInvitation, OpenPlace, People
from annotation.api.projects import OneProject, Projects
from annotation.api.prompts import Candidates, OnePair, OnePrompt, Pairs, Prompts
from annotation.api.rankings import LastRanking, MyRankings, OneRanking, Rankings, Turns
from annotation.api.reasons import OneReaction, Reasons
from annotation.api.runs import CancelRun, EstimateRun, OneRun, PairRun, RetryRun, Runs
from annotation.api.templates import Templates

urlpatterns = [
    path("schema.json", SpectacularJSONAPIView.as_view(), name="api_schema"),
    path("models", LanguageModels.as_view(), name="api_models"),
    path("projects", Projects.as_view(), name="api_projects"),
    path("projects/<slug:slug>", OneProject.as_view(), name="api_project"),
    path("projects/<slug:slug>/settings", Settings.as_view(), name="api_settings"),
    path("projects/<slug:slug>/state", State.as_view(), name="api_state"),
    path("projects/<slug:slug>/guidelines", Guidelines.as_view(), name="api_guidelines"),
    path("projects/<slug:slug>/invitations", Invitations.as_view(), name="api_invitations"),
    path("projects/<slug:slug>/invitations/<key:invitation_id>", OneInvitation.as_view(), name="api_invitation"),
    path("projects/<slug:slug>/people", People.as_view(), name="api_people"),
    path("projects/<slug:slug>/people/<key:annotator_id>/close", ClosePlace.as_view(), name="api_close_place"),
    path("projects/<slug:slug>/people/<key:annotator_id>/open", OpenPlace.as_view(), name="api_open_place"),
    path("projects/<slug:slug>/prompts", Prompts.as_view(), name="api_prompts"),
    path("projects/<slug:slug>/prompts/<key:prompt_id>", OnePrompt.as_view(), name="api_prompt"),
    path("projects/<slug:slug>/candidates", Candidates.as_view(), name="api_candidates"),
    path("projects/<slug:slug>/pairs", Pairs.as_view(), name="api_pairs"),
    path("projects/<slug:slug>/pairs/gold", MarkGold.as_view(), name="api_gold"),
    path("projects/<slug:slug>/pairs/<key:pair_id>", OnePair.as_view(), name="api_pair"),
    path("projects/<slug:slug>/assignments", Assignments.as_view(), name="api_assignments"),
    path("projects/<slug:slug>/assignments/<key:assignment_id>/judgement", OneAnswer.as_view(), name="api_answer"),
    path("projects/<slug:slug>/judgements", Judgements.as_view(), name="api_judgements"),
    path("projects/<slug:slug>/judgements/mine", MyJudgements.as_view(), name="api_my_judgements"),
    path("projects/<slug:slug>/judgements/last", LastJudgement.as_view(), name="api_last_judgement"),
    path("projects/<slug:slug>/turns", Turns.as_view(), name="api_turns"),
    path("projects/<slug:slug>/turns/<key:turn_id>/ranking", OneRanking.as_view(), name="api_one_ranking"),
    path("projects/<slug:slug>/rankings", Rankings.as_view(), name="api_rankings"),
    path("projects/<slug:slug>/rankings/mine", MyRankings.as_view(), name="api_my_rankings"),
    path("projects/<slug:slug>/rankings/last", LastRanking.as_view(), name="api_last_ranking"),
    path("projects/<slug:slug>/reasons", Reasons.as_view(), name="api_reasons"),
    path("projects/<slug:slug>/reasons/<key:offer_id>/reaction", OneReaction.as_view(), name="api_reaction"),
    path("projects/<slug:slug>/templates", Templates.as_view(), name="api_templates"),
    path("projects/<slug:slug>/imports", Imports.as_view(), name="api_imports"),
    path("projects/<slug:slug>/imports/<key:run_id>/import", ImportChecked.as_view(), name="api_import_checked"),
    path("projects/<slug:slug>/imports/<key:run_id>/undo", UndoImport.as_view(), name="api_import_undo"),
    path("projects/<slug:slug>/imports/<key:run_id>/refused.csv", RefusedLines.as_view(), name="api_import_refused"),
    path("projects/<slug:slug>/runs", Runs.as_view(), name="api_runs"),
    path("projects/<slug:slug>/runs/estimate", EstimateRun.as_view(), name="api_run_estimate"),
    path("projects/<slug:slug>/runs/<key:run_id>", OneRun.as_view(), name="api_run"),
    path("projects/<slug:slug>/runs/<key:run_id>/cancel", CancelRun.as_view(), name="api_run_cancel"),
    path("projects/<slug:slug>/runs/<key:run_id>/retry", RetryRun.as_view(), name="api_run_retry"),
    path("projects/<slug:slug>/runs/<key:run_id>/pair", PairRun.as_view(), name="api_run_pair"),
]
