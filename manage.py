#!/usr/bin/env python
"""The command line. Starts the embedded database by itself when DATABASE_URL is not set."""

import os
import sys

# Commands that look at the code alone.
WITHOUT_DATABASE = {"help", "--help", "-h", "version", "--version", "collectstatic", "compilemessages", "makemessages"}
ASKS_FOR_HELP = {"--help", "-h"}


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from django.db import ProgrammingError

    from config import embedded

    command, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("help", [])
    if command not in WITHOUT_DATABASE and ASKS_FOR_HELP.isdisjoint(arguments):
        try:
            embedded.ensure_running()
        except embedded.EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
    try:
        execute_from_command_line(sys.argv)
    except ProgrammingError:
        # A table is not there yet: the first thing that a newcomer meets who has not migrated.
        from config.checks import pending_migrations

        pending = pending_migrations()
        if not pending:
            raise
        print(f"The database is older than the code: {pending}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
