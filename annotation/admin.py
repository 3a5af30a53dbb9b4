"""The site admin's pages: reading nearly everything, changing accounts. Facts are never changed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from axes.models import AccessFailureLog, AccessLog
from csp.constants import SELF
from csp.decorators import csp_update
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from rest_framework.authtoken.models import TokenProxy

from annotation import models
from annotation.access import may_administer
from annotation.errors import Refused
from annotation.signing_in import change_account, remove_second_factor


def with_own_scripts(guard: Callable[..., Any]) -> Callable[..., Any]:
    """Every page that `guard` makes of a view has `'self'` among its sources of scripts."""

    def guarded(view: Callable[..., Any], cacheable: bool = False) -> Any:
        return csp_update({"script-src": [SELF]})(guard(view, cacheable))

    return guarded


admin.site.site_header = "Plumbline"
admin.site.site_title = "Plumbline"
admin.site.index_title = "Site admin"
admin.site.enable_nav_sidebar = False
# One way to sign in for everybody, with its throttle and its second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# Django's own templates give their scripts no nonce: these pages, and no others, take scripts from our own files.
admin.site.admin_view = with_own_scripts(admin.site.admin_view)  # type: ignore[method-assign]
admin.site.has_permission = lambda request: may_administer(request.user)  # type: ignore[method-assign]

# Pages that would show secrets (tokens, the secrets of authenticator apps) or that mean nothing here.
for hidden in (AccessFailureLog, AccessLog, Authenticator, EmailAddress, Group, TokenProxy):
    admin.site.unregister(hidden)


class ReadOnly(admin.ModelAdmin):
    """Look, and change nothing."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(models.User)
class UserAdmin(ReadOnly):
    """Accounts: name, whether it is open, whether it is a site admin's. Passwords are set by their owners alone."""

    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)
    fields = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    readonly_fields = ("email", "date_joined", "last_login")
    actions = ("remove_second_factor",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def save_model(self, request: HttpRequest, obj: models.User, form: Any, change: bool) -> None:
        try:
            change_account(
                user=obj, name=obj.name, is_active=obj.is_active, is_staff=obj.is_staff, actor=_actor(request)
            )
        except Refused as error:
            self.message_user(request, str(error), messages.ERROR)

    @admin.action(description="Remove the second factor (a lost phone)")
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[models.User]) -> None:
        removed = sum(remove_second_factor(user=user, actor=_actor(request)) for user in queryset)
        self.message_user(request, f"Removed from {removed} of the chosen accounts.", messages.SUCCESS)


@admin.register(models.Project)
class ProjectAdmin(ReadOnly):
    list_display = ("name", "slug", "state", "scale", "overlap", "is_demo", "created_at")
    list_filter = ("state", "is_demo")
    search_fields = ("name", "slug")


@admin.register(models.Annotator)
class AnnotatorAdmin(ReadOnly):
    list_display = ("name", "project", "kind", "role", "is_active", "is_simulated")
    list_filter = ("kind", "role", "is_active")
    list_select_related = ("project",)
    search_fields = ("name", "user__email", "external_id")


@admin.register(models.Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ("project", "role", "email", "taken", "places", "expires_at", "withdrawn_at", "created_by")
    list_select_related = ("project", "created_by")
    exclude = ("token_digest",)


@admin.register(models.Guideline)
class GuidelineAdmin(ReadOnly):
    list_display = ("project", "version", "change_note", "created_by", "created_at")
    list_select_related = ("project", "created_by")
    exclude = ("html",)


@admin.register(models.Principle)
class PrincipleAdmin(ReadOnly):
    list_display = ("short", "project", "source", "key")
    list_select_related = ("project",)
    search_fields = ("short", "text")


@admin.register(models.Pair)
class PairAdmin(ReadOnly):
    list_display = ("id", "project", "source", "external_id", "is_gold", "excluded_at")
    list_select_related = ("project",)
    search_fields = ("external_id",)


@admin.register(models.Judgement)
class JudgementAdmin(ReadOnly):
    list_display = ("id", "annotator", "verdict", "strength", "revision", "is_current", "created_at")
    list_select_related = ("annotator",)
    ordering = ("-id",)


@admin.register(models.Run)
class RunAdmin(ReadOnly):
    list_display = ("id", "kind", "project", "state", "attempt", "worker", "created_at", "finished_at")
    list_filter = ("kind", "state")
    list_select_related = ("project",)
    ordering = ("-id",)


@admin.register(models.Worker)
class WorkerAdmin(ReadOnly):
    list_display = ("name", "queues", "code_version", "started_at", "seen_at")


@admin.register(models.Event)
class EventAdmin(ReadOnly):
    """The record of who did what. `manage.py verify_events` checks that nothing in it was changed."""

    list_display = ("id", "at", "actor", "project", "act", "subject")
    list_filter = ("act",)
    search_fields = ("actor", "project", "subject")
    ordering = ("-id",)


def _actor(request: HttpRequest) -> models.User:
    assert isinstance(request.user, models.User)
    return request.user
