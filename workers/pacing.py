"""Signs of life of a long run: cheap to give at every step, told to the database about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from annotation.running import Hold

# A cancel is noticed within this many seconds of the next step, and a step is short.
EVERY = 1.0


class Pace:
    """Counts what is done, and beats. Called with nothing it is a `Beat` of the backends.

    spent: how many tokens the model has read and written since it was opened; only what comes from now on is the run's,
    on top of what its earlier attempts took. Without it the run's tokens are not told.

    Raises, when called:
        Cancelled, Superseded: as `Hold.beat`.
    """

    def __init__(self, hold: Hold, *, done: int, total: int, spent: Callable[[], int] | None = None) -> None:
        self.hold, self.done, self.total = hold, done, total
        self._spent = spent
        self._before = (hold.run.tokens or 0) - (spent() if spent else 0)
        self._passed_over = 0
        self._last = 0.0
        self.tell()

    def __call__(self) -> None:
        if time.monotonic() - self._last >= EVERY:
            self.tell()

    def add(self, number: int, *, passed_over: int = 0) -> None:
        """So many more are recorded; besides, so many needed no work: they were there, or there is nothing to ask."""
        self.done += number + passed_over
        self._passed_over += passed_over
        self.tell()

    def ready(self) -> None:
        """The model is loaded: the pace is counted from now on."""
        self.tell(ready=True)

    def tell(self, *, ready: bool = False) -> None:
        """Beat now."""
        self._last = time.monotonic()
        passed_over, self._passed_over = self._passed_over, 0
        tokens = self._before + self._spent() if self._spent else None
        self.hold.beat(progress=self.done, total=self.total, tokens=tokens, passed_over=passed_over, ready=ready)
