"""A way in for somebody who has no password, or forgot it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from annotation.errors import Refused
from annotation.models import User
from annotation.signing_in import make_sign_in_link
from config import address


class Command(BaseCommand):
    help = "Print a link that signs one account in, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--next", default="/", help="the path to open afterwards; default: /")
        parser.add_argument("--minutes", type=int, default=60, help="for how long the link works; default: 60")
        parser.add_argument(
            "--address",
            default=address.usual(state=settings.VAR),
            help="where the pages are served; default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"There is no account {options['email']}. Invite them to a project: manage.py invite.")
        if not 1 <= options["minutes"] <= 7 * 24 * 60:
            raise CommandError(f"A link works for 1 minute to 7 days, not for {options['minutes']} minutes.")
        try:
            token = make_sign_in_link(user=user, next_path=options["next"], minutes=options["minutes"])
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(options["address"].rstrip("/") + reverse("enter", args=[token]))
