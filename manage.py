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
    execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
