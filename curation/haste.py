"""Answers that were given faster than one can read: marked for the lead, never blocked, and never a verdict on anyone.

One rule, said twice: here for one judgement, in `HASTY` for the database. A test holds both against each other.
"""

from __future__ import annotations

# Nobody reads two candidates in less.
LEAST_MS = 3000
# Faster than this is skimming; a word counts as five letters and a blank, so that no language is counted otherwise.
WORDS_PER_SECOND = 15
CHARACTERS_PER_WORD = 6
# The share of each candidate that was ever on the screen.
LEAST_COVERAGE = 0.8

WORDS = {
    "short": f"less than {LEAST_MS // 1000} s",
    "fast": f"more than {WORDS_PER_SECOND} words a second",
    "unseen": f"less than {LEAST_COVERAGE:.0%} of a candidate on the screen".replace("%", " %"),
}


def marks(
    *, active_ms: int | None, characters: int, coverage_first: float | None, coverage_second: float | None
) -> tuple[str, ...]:
    """Why a judgement is marked: keys of WORDS, none where nothing is remarkable or nothing was measured.

    Args:
        active_ms: visible time without idling, in milliseconds.
        characters: of both candidates together, in code points.
        coverage_first, coverage_second: the share of each candidate that was ever on the screen, 0 to 1.
    """
    found = []
    if active_ms is not None:
        if active_ms < LEAST_MS:
            found.append("short")
        if characters * 1000 > WORDS_PER_SECOND * CHARACTERS_PER_WORD * active_ms:
            found.append("fast")
    if any(share is not None and share < LEAST_COVERAGE for share in (coverage_first, coverage_second)):
        found.append("unseen")
    return tuple(found)


# The same for judgement j of a pair whose candidates are hf and hs. Unknown measures are null and mark nothing.
HASTY = f"""coalesce(j.active_ms < {LEAST_MS}, false)
  OR coalesce((hf.characters + hs.characters) * 1000::bigint
      > {WORDS_PER_SECOND * CHARACTERS_PER_WORD}::bigint * j.active_ms, false)
  OR coalesce(j.coverage_first < {LEAST_COVERAGE}, false) OR coalesce(j.coverage_second < {LEAST_COVERAGE}, false)"""
