"""What a verb raises when it cannot do what was asked. The text is a sentence for the person who asked."""

from __future__ import annotations


class Refused(Exception):
    """The act is not possible as asked. `str(error)` says what, where and how to mend it, and can be shown."""


class Mendable(Refused):
    """What is wrong is the same everywhere; how to mend it is said in the words of the place that asked."""

    def __init__(self, what: str, *, by_command: str, on_page: str) -> None:
        super().__init__(f"{what} {by_command}")
        self.on_page = f"{what} {on_page}"


class Stale(Refused):
    """Somebody else was first, or the page is older than the data. Nothing was changed; what was sent is kept."""
