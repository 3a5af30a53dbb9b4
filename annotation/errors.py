"""What a verb raises when it cannot do what was asked. The text is a sentence for the person who asked."""

from __future__ import annotations


class Refused(Exception):
    """The act is not possible as asked. `str(error)` says what, where and how to mend it, and can be shown."""


class Stale(Refused):
    """Somebody else was first, or the page is older than the data. Nothing was changed; what was sent is kept."""
