"""The catalogues of translations follow the code."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import catalogues


class Command(BaseCommand):
    help = (
        "Bring every catalogue in locale/ up to date with the texts that are marked in the code, and compile it. "
        "Texts that are new are listed: translate them in the .po file, and run this again. Needs no GNU gettext."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--add", metavar="LANGUAGE", help="begin a catalogue for one more language, as fr or pt_BR")
        parser.add_argument("--check", action="store_true", help="change nothing; exit with status 1 if something is")

    def handle(self, *args: Any, **options: Any) -> None:
        root = settings.BASE_DIR
        try:
            found = catalogues.marked(root)
            if options["add"]:
                self._begin(options["add"])
            faults = [fault for path in catalogues.paths(root) for fault in self._one(path, found, options["check"])]
        except catalogues.Unreadable as error:
            raise CommandError(str(error)) from error
        for fault in faults:
            self.stderr.write(fault)
        if faults and options["check"]:
            raise CommandError(f"{len(faults)} texts are not right. Run manage.py messages, and translate.")
        self.stdout.write(f"{len(found)} marked texts, {len(faults)} to be translated or mended.")

    def _begin(self, language: str) -> None:
        if not language.replace("_", "").isalpha():
            raise CommandError(f"{language!r} is not the name of a language. Give it as fr or pt_BR.")
        path = settings.BASE_DIR / "locale" / language / "LC_MESSAGES" / "django.po"
        if path.exists():
            raise CommandError(f"{path.relative_to(settings.BASE_DIR)} is there already.")
        path.parent.mkdir(parents=True)
        path.write_text(catalogues.written([catalogues.Entry(catalogues.Key(""), [catalogues.HEADER])]))

    def _one(self, path: Any, found: dict[catalogues.Key, list[str]], check: bool) -> list[str]:
        name = path.relative_to(settings.BASE_DIR).as_posix()
        entries = catalogues.read(path.read_text(encoding="utf-8"), name)
        compiled = path.with_suffix(".mo")
        if check:
            faults = catalogues.faults(entries, found)
            if not compiled.exists() or compiled.read_bytes() != catalogues.compiled(entries):
                faults.append("the .mo file is not of the .po file")
        else:
            entries = catalogues.updated(entries, found)
            path.write_text(catalogues.written(entries), encoding="utf-8")
            compiled.write_bytes(catalogues.compiled(entries))
            faults = catalogues.faults(entries, found)
        return [f"{catalogues.language_of(path)}: {fault}" for fault in faults]
