"""Who judges in a project: members, imported annotators, judges, invitations."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, F, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from annotation.access import account_of, annotator_for, invitation_for, project_for
from annotation.errors import Refused
from annotation.forms import InviteForm
from annotation.inviting import change_role, deactivate, invite, reactivate, withdraw
from annotation.models import Annotator, Invitation, Judgement, Project, Ranking, Role

ROWS = 50


@login_required
@require_safe
def people(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, role=Role.LEAD)
    return _page(request, project, form=InviteForm())


@login_required
@require_POST
def invite_people(request: HttpRequest, slug: str) -> HttpResponse:
    """Make an invitation and show its link, this once. Inviting a lead asks for the password again."""
    answer: HttpResponse = _invite(request, project_for(request.user, slug, role=Role.LEAD))
    return answer


# Beyond the door: a stranger must not be asked for a password, because that would tell that there is something.
@reauthentication_required(enabled=lambda request: request.POST.get("role") == Role.LEAD)
def _invite(request: HttpRequest, project: Project) -> HttpResponse:
    form = InviteForm(request.POST)
    if form.is_valid():
        try:
            invitation, token = invite(project=project, actor=account_of(request), **form.cleaned_data)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            link = request.build_absolute_uri(reverse("join", args=[token]))
            return _page(request, project, form=InviteForm(), made=invitation, link=link)
    return _page(request, project, form=form, status=422)


@login_required
@require_POST
def withdraw_invitation(request: HttpRequest, slug: str, invitation_id: int) -> HttpResponse:
    invitation = invitation_for(request.user, slug, invitation_id)
    return _done(
        request,
        slug,
        "The invitation is withdrawn.",
        lambda: withdraw(invitation=invitation, actor=account_of(request)),
    )


@login_required
@require_POST
def set_role(request: HttpRequest, slug: str, annotator_id: int) -> HttpResponse:
    """Asks for the password again."""
    answer: HttpResponse = _set_role(request, annotator_for(request.user, slug, annotator_id))
    return answer


@reauthentication_required
def _set_role(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    role, actor = request.POST.get("role", ""), account_of(request)
    said = f"The role of {annotator} is set."
    return _done(
        request, annotator.project.slug, said, lambda: change_role(annotator=annotator, role=role, actor=actor)
    )


@login_required
@require_POST
def close_place(request: HttpRequest, slug: str, annotator_id: int) -> HttpResponse:
    annotator = annotator_for(request.user, slug, annotator_id)
    said = f"The place of {annotator} is closed. Open pairs went back to the queue; judgements stay."
    return _done(request, slug, said, lambda: deactivate(annotator=annotator, actor=account_of(request)))


@login_required
@require_POST
def open_place(request: HttpRequest, slug: str, annotator_id: int) -> HttpResponse:
    annotator = annotator_for(request.user, slug, annotator_id)
    return _done(
        request,
        slug,
        f"{annotator} may come in again.",
        lambda: reactivate(annotator=annotator, actor=account_of(request)),
    )


def _done(request: HttpRequest, slug: str, said: str, act: Any) -> HttpResponse:
    try:
        act()
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect("people", slug)


def _page(request: HttpRequest, project: Project, *, form: InviteForm, status: int = 200, **extra: Any) -> HttpResponse:
    wanted = request.GET.get("q", "").replace("\0", "").strip()
    everybody = Annotator.objects.filter(project=project).select_related("user").order_by("-is_active", "name", "pk")
    if wanted:
        everybody = everybody.filter(
            Q(name__icontains=wanted) | Q(user__email__icontains=wanted) | Q(model__icontains=wanted)
        )
    tables = {
        "members": everybody.people().filter(user__isnull=False),
        "imported": everybody.people().filter(user=None),
        "judges": everybody.judges(),
    }
    pages = {name: Paginator(rows, ROWS).get_page(request.GET.get(name)) for name, rows in tables.items()}
    _count_given(project, [annotator for page in pages.values() for annotator in page.object_list])
    context = {
        "project": project,
        "section": "people",
        "wanted": wanted,
        "form": form,
        "roles": Role.choices,
        "invitations": _open_invitations(project)[:ROWS],
        **pages,
        **extra,
    }
    return render(request, "people/people.html", context, status=status)


def _open_invitations(project: Project) -> QuerySet[Invitation]:
    """Those that somebody can still use, the newest first."""
    return (
        Invitation.objects.filter(project=project, withdrawn_at=None, expires_at__gt=timezone.now())
        .exclude(taken__gte=F("places"))
        .select_related("created_by")
        .order_by("-pk")
    )


def _count_given(project: Project, annotators: list[Annotator]) -> None:
    """Write onto each annotator how much they have given and when they gave the last, by a query or two.

    Counted are current judgements; of people where a project ranks, their rankings, each once.
    """
    numbers = {one.pk for one in annotators}
    ranking = {one.pk for one in annotators if one.user_id and project.task == Project.Task.RANKINGS}
    counted = _by_annotator(Judgement.objects.current().filter(annotator__in=numbers - ranking))
    if ranking:
        counted |= _by_annotator(Ranking.objects.filter(annotator__in=ranking, is_current=True))
    for annotator in annotators:
        annotator.judged, annotator.last_judged = counted.get(annotator.pk, (0, None))  # type: ignore[attr-defined]


def _by_annotator(rows: QuerySet[Any]) -> dict[int, tuple[int, Any]]:
    counted = rows.values("annotator").annotate(n=Count("pk"), last=Max("created_at")).order_by()
    return {row["annotator"]: (row["n"], row["last"]) for row in counted}
