"""Signs of life of a long run: cheap to give at every step, told to the database about once a second."""

from __future__ import annotations

import time

from annotation.running import Hold

# A cancel is noticed within this many seconds of the next step, and a step is short.
EVERY = 1.0


class Pace:
    """Counts what is done, and beats. Called with nothing it is a `Beat` of the backends.

    Raises, when called:
        Cancelled, Superseded: as `Hold.beat`.
    """

    def __init__(self, hold: Hold, *, done: int, total: int) -> None:
        self.hold, self.done, self.total = hold, done, total
        self._last = 0.0
        self.tell()

    def __call__(self) -> None:
        if time.monotonic() - self._last >= EVERY:
            self.tell()

    def add(self, number: int) -> None:
        """So many more are recorded."""
        self.done += number
        self.tell()

    def tell(self) -> None:
        """Beat now."""
        self._last = time.monotonic()
        self.hold.beat(progress=self.done, total=self.total)
