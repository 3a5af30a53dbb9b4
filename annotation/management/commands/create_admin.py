"""The first account of a fresh installation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from annotation.errors import Refused
from annotation.signing_in import create_admin, make_sign_in_link
from config import address


class Command(BaseCommand):
    help = "Make a site admin and print a link that signs in once. Refuses when there is one, unless --another is said."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="")
        parser.add_argument("--another", action="store_true", help="there is an admin already, and this is one more")
        parser.add_argument(
            "--address",
            default=address.usual(state=settings.VAR),
            help="where the pages are served; default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = create_admin(email=options["email"], name=options["name"], another=options["another"])
            token = make_sign_in_link(user=user, next_path=reverse("account_set_password"), command="create_admin")
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{user.email} is a site admin. This link signs in once, within an hour:")
        self.stdout.write(options["address"].rstrip("/") + reverse("enter", args=[token]))
