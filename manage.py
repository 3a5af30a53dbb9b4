#!/usr/bin/env python
"""The command line. Starts the embedded database by itself when DATABASE_URL is not set."""

import os
import sys

# Commands that look at the code alone.
WITHOUT_DATABASE = {"help", "--help", "-h", "version", "--version", "collectstatic", "compilemessages", "makemessages"}


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config import embedded

    asks_for_help = len(sys.argv) < 2 or not WITHOUT_DATABASE.isdisjoint(sys.argv[1:])
    if not asks_for_help:
        try:
            embedded.ensure_running()
        except embedded.EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
    from django.db.utils import ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except ProgrammingError as error:
        # Not a fault of the command: nobody has made its tables yet, or they are those of an earlier version.
        if getattr(error.__cause__, "sqlstate", None) not in ("42P01", "42703"):
            raise
        print(f"The database is not of this version: {str(error).splitlines()[0]}.", file=sys.stderr)
        print("Bring it up to date with: .venv/bin/python manage.py migrate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
