"""The data of annotation, one module per kind of thing, in the order in which data moves."""

from annotation.models.answers import JudgeAnswer
from annotation.models.assignments import Assignment, CheckSeat, Draft
from annotation.models.candidates import Candidate
from annotation.models.disagreements import Cause, Disagreement
from annotation.models.edits import Edit
from annotation.models.events import Event
from annotation.models.guidelines import Guideline, GuidelinePrinciple, GuidelineReading, Principle
from annotation.models.judgements import Flag, Judgement, PrincipleVote, Rationale, SkipReason, Span, Verdict
from annotation.models.language_models import LanguageModel
from annotation.models.offers import Offer, Reaction, TakenBack
from annotation.models.pairs import Pair
from annotation.models.parts import Part
from annotation.models.people import Annotator, Invitation, Role, SignInLink, User
from annotation.models.projects import Project, Scale
from annotation.models.prompts import Prompt
from annotation.models.rankings import Lineup, Ranking, Turn
from annotation.models.runs import Run, Worker
from annotation.models.templates import JudgeTemplate, RationaleTemplate, ValueTemplate

__all__ = [
    "Annotator",
    "Assignment",
    "Candidate",
    "Cause",
    "CheckSeat",
    "Disagreement",
    "Draft",
    "Edit",
    "Event",
    "Flag",
    "Guideline",
    "GuidelinePrinciple",
    "GuidelineReading",
    "Invitation",
    "JudgeAnswer",
    "JudgeTemplate",
    "Judgement",
    "LanguageModel",
    "Lineup",
    "Offer",
    "Pair",
    "Part",
    "Principle",
    "PrincipleVote",
    "Project",
    "Prompt",
    "Ranking",
    "Rationale",
    "RationaleTemplate",
    "Reaction",
    "Role",
    "Run",
    "Scale",
    "SignInLink",
    "SkipReason",
    "Span",
    "TakenBack",
    "Turn",
    "User",
    "ValueTemplate",
    "Verdict",
    "Worker",
]
