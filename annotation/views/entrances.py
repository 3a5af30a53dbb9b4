"""Where people come in: the front door, one-time links, invitations, and their own account."""

from __future__ import annotations

from allauth.account.decorators import reauthentication_required
from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework.authtoken.models import Token

from annotation.access import account_of, check_powers, has_second_factor
from annotation.errors import Refused
from annotation.forms import JoinForm
from annotation.inviting import accept, accept_as_new, find_invitation
from annotation.models import Annotator, Role, User
from annotation.signing_in import make_token, revoke_token, use_sign_in_link


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Send everybody to where their work is."""
    if not request.user.is_authenticated:
        return redirect("account_login")
    seats = list(Annotator.objects.active().filter(user=account_of(request)).select_related("project")[:2])
    check_powers(request.user)
    if len(seats) == 1 and seats[0].role == Role.ANNOTATOR and not request.user.is_staff:
        return redirect("judge", seats[0].project.slug)
    return redirect("projects")


@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time sign-in link. Looking does not use it up: mail scanners look. The button does."""
    if request.method != "POST":
        return render(request, "entrances/enter.html", {"token": token})
    try:
        link = use_sign_in_link(token=token)
    except Refused as error:
        return _refused(request, _("This link does not work any more"), error)
    return _sign_in(request, link.user, link.next_path)


@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invitation: one button for those who are signed in, otherwise a new account in the same step."""
    try:
        invitation = find_invitation(token=token)
        form = JoinForm(request.POST if request.method == "POST" else None, invited=invitation.email)
        if request.method == "POST" and request.user.is_authenticated:
            member = accept(token=token, user=account_of(request))
            messages.success(request, _("You have joined %(project)s.") % {"project": member.project})
            return redirect("home")
    except Refused as error:
        return _refused(request, _("You can not join with this link"), error)
    if request.method == "POST" and form.is_valid():
        try:
            member = accept_as_new(token=token, **form.cleaned_data)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            return _sign_in(request, member.user, "/")
    context = {"invitation": invitation, "form": form, "token": token}
    return render(request, "entrances/join.html", context, status=422 if form.is_bound else 200)


def _refused(request: HttpRequest, title: str, error: Refused) -> HttpResponse:
    return render(request, "entrances/refused.html", {"title": title, "error": str(error)}, status=410)


def _sign_in(request: HttpRequest, user: User | None, to: str) -> HttpResponse:
    """Sign in as a password would: who has a second factor is asked for it."""
    answer: HttpResponse = perform_login(request, user, redirect_url=to)
    return answer


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    seats = (
        Annotator.objects.active().filter(user=account_of(request)).select_related("project").order_by("project__name")
    )
    context = {"seats": seats, "has_second_factor": has_second_factor(account_of(request))}
    return render(request, "account/account.html", context)


@login_required
@require_safe
def token(request: HttpRequest) -> HttpResponse:
    return render(request, "account/token.html", {"token": Token.objects.filter(user=account_of(request)).first()})


@login_required
@require_POST
@reauthentication_required
def token_make(request: HttpRequest) -> HttpResponse:
    """Make the account's API token and show it, this once."""
    check_powers(request.user)
    made = make_token(user=account_of(request))
    return render(request, "account/token.html", {"token": made, "shown": made.key})


@login_required
@require_POST
def token_revoke(request: HttpRequest) -> HttpResponse:
    if revoke_token(user=account_of(request)):
        messages.success(request, _("The token does not work any more."))
    return redirect("account_token")


def not_here(request: HttpRequest, key: str = "") -> HttpResponse:
    """Pages of the sign-in library that this house does not have: who acted is recorded by address, so it stays."""
    raise Http404
