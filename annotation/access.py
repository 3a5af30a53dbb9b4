"""The only doors to an object. A view, an API operation or a command obtains what it works on here, or not at all.

A stranger and a missing object get the same answer: Http404. Where the settings ask leads and admins for a second
factor (LEADS_NEED_TOTP), a lead's door does not open without one: it raises `SecondFactorNeeded`, for pages and API
tokens alike, so that no view has to remember it.
"""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from annotation.errors import Refused
from annotation.models import (
    Annotator,
    Assignment,
    Guideline,
    Invitation,
    LanguageModel,
    Pair,
    Project,
    Prompt,
    Role,
    Run,
    Turn,
    User,
)

AnyUser = User | AnonymousUser


class SecondFactorNeeded(PermissionDenied):
    """The role is there, the second factor is not. A page leads to its set-up, the API answers 403 with this text."""

    def __init__(self) -> None:
        super().__init__(
            "Leads and site admins need a second factor. Sign in on the web pages and set up an authenticator."
        )


def account_of(request: HttpRequest) -> User:
    """The account that is signed in. A view behind `login_required` has one."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def has_second_factor(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def lacks_second_factor(user: AnyUser) -> bool:
    """True when `user`'s powers as a lead or an admin must rest until a second factor is set up."""
    return bool(settings.LEADS_NEED_TOTP) and isinstance(user, User) and not has_second_factor(user)


def roles_from(role: str) -> list[str]:
    """`role` and every role that includes it."""
    order = list(Role.values)
    return order[order.index(role) :]


def _reachable(user: AnyUser, role: str) -> QuerySet[Project]:
    if not user.is_authenticated or not user.is_active:
        return Project.objects.none()
    if user.is_staff:
        return Project.objects.all()
    return Project.objects.filter(
        pk__in=Annotator.objects.active().filter(user=user, role__in=roles_from(role)).values("project")
    )


def _needs_second_factor(user: AnyUser, role: str) -> bool:
    """A lead's door, or an admin's power over projects that are not theirs."""
    return (role == Role.LEAD or bool(getattr(user, "is_staff", False))) and lacks_second_factor(user)


def projects_for(user: AnyUser, *, role: str = Role.ANNOTATOR) -> QuerySet[Project]:
    """The projects in which `user` has at least `role`; a site admin has every role everywhere.

    Raises:
        SecondFactorNeeded: there are such projects, and the role does not count without a second factor.
    """
    projects = _reachable(user, role)
    if _needs_second_factor(user, role) and projects.exists():
        raise SecondFactorNeeded
    return projects


def project_for(user: AnyUser, slug: str, *, role: str = Role.ANNOTATOR) -> Project:
    """One project, if `user` has at least `role` in it."""
    project = get_object_or_404(_reachable(user, role).select_related("guideline"), slug=slug)
    if _needs_second_factor(user, role):
        raise SecondFactorNeeded
    return project


def project_of(slug: str) -> Project:
    """The project of a command: whoever may run one on this machine may do everything.

    Raises:
        Refused: there is none.
    """
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise Refused(f"There is no project {slug!r}. Check the address, or found it first.")
    return project


def membership_for(user: AnyUser, slug: str, *, role: str = Role.ANNOTATOR) -> Annotator:
    """The user's own membership. A site admin without one is a stranger here: judging needs a seat."""
    if not user.is_authenticated:
        raise Http404
    me = get_object_or_404(
        Annotator.objects.active().select_related("project", "project__guideline", "user"),
        user=user,
        user__is_active=True,
        project__slug=slug,
        role__in=roles_from(role),
    )
    if role == Role.LEAD and lacks_second_factor(user):
        raise SecondFactorNeeded
    return me


def seat_of(user: AnyUser, project: Project, *, role: str) -> Annotator | None:
    """The user's own membership of a project that was obtained here, if it has at least `role`; None without one."""
    if not isinstance(user, User):
        return None
    seats = Annotator.objects.active().select_related("project", "project__guideline", "user")
    return seats.filter(user=user, user__is_active=True, project=project, role__in=roles_from(role)).first()


def assignment_for(user: AnyUser, slug: str, assignment_id: int) -> Assignment:
    """One of the user's own assignments, leased or done."""
    me = membership_for(user, slug)
    return get_object_or_404(
        Assignment.objects.select_related("pair__prompt", "pair__first", "pair__second", "project"),
        pk=assignment_id,
        annotator=me,
        project=me.project_id,
    )


def turn_for(user: AnyUser, slug: str, turn_id: int) -> Turn:
    """One of the user's own turns at a lineup, leased or done."""
    me = membership_for(user, slug)
    mine = Turn.objects.select_related("lineup__prompt", "lineup__project")
    return get_object_or_404(mine, pk=turn_id, annotator=me, lineup__project=me.project_id)


def pair_for(user: AnyUser, slug: str, pair_id: int, *, role: str = Role.LEAD) -> Pair:
    project = project_for(user, slug, role=role)
    return get_object_or_404(Pair.objects.select_related("prompt", "first", "second"), pk=pair_id, project=project)


def prompt_for(user: AnyUser, slug: str, prompt_id: int, *, role: str = Role.LEAD) -> Prompt:
    project = project_for(user, slug, role=role)
    return get_object_or_404(Prompt, pk=prompt_id, project=project)


def run_for(user: AnyUser, slug: str, run_id: int, *, role: str = Role.LEAD) -> Run:
    project = project_for(user, slug, role=role)
    return get_object_or_404(Run.objects.select_related("project", "started_by"), pk=run_id, project=project)


def models_for(user: AnyUser) -> QuerySet[LanguageModel]:
    """The register of models, for a site admin."""
    if not may_administer(user):
        raise Http404
    return LanguageModel.objects.all()


def model_of(name: str) -> LanguageModel:
    """The model of a command, as `project_of` is its project.

    Raises:
        Refused: there is none of that name.
    """
    model = LanguageModel.objects.filter(name=name).first()
    if model is None:
        raise Refused(f"There is no model {name!r}. `manage.py models` lists them.")
    return model


def annotator_for(user: AnyUser, slug: str, annotator_id: int, *, role: str = Role.LEAD) -> Annotator:
    project = project_for(user, slug, role=role)
    return get_object_or_404(Annotator.objects.select_related("user", "project"), pk=annotator_id, project=project)


def invitation_for(user: AnyUser, slug: str, invitation_id: int) -> Invitation:
    project = project_for(user, slug, role=Role.LEAD)
    return get_object_or_404(Invitation.objects.select_related("project"), pk=invitation_id, project=project)


def guideline_for(user: AnyUser, slug: str, version: int) -> Guideline:
    """One version of the guideline: every member may read all of them."""
    project = project_for(user, slug)
    return get_object_or_404(Guideline.objects.select_related("project"), version=version, project=project)


def is_lead(user: AnyUser, project: Project) -> bool:
    """True when a lead's doors of this project stand open to `user` now."""
    if not _reachable(user, Role.LEAD).filter(pk=project.pk).exists():
        return False
    return not lacks_second_factor(user)


def leads_somewhere(user: AnyUser) -> bool:
    """True for a lead of any project, and for a site admin even where there is none yet."""
    if not user.is_authenticated or not user.is_active:
        return False
    return user.is_staff or _reachable(user, Role.LEAD).exists()


def check_powers(user: AnyUser) -> None:
    """Where somebody comes in or makes an API token: who leads must have the second factor.

    Raises:
        SecondFactorNeeded: it is missing.
    """
    if leads_somewhere(user) and lacks_second_factor(user):
        raise SecondFactorNeeded


def may_found(user: AnyUser) -> bool:
    """New projects are founded by site admins and by people who lead one already.

    Raises:
        SecondFactorNeeded: they may, and have no second factor.
    """
    check_powers(user)
    return leads_somewhere(user)


def may_administer(user: AnyUser) -> bool:
    """The door of the site admin's pages.

    Raises:
        SecondFactorNeeded: an admin without a second factor.
    """
    if not user.is_authenticated or not user.is_active or not user.is_staff:
        return False
    check_powers(user)
    return True
