"""Candidates -> pairs. And what makes a prompt, a candidate, a pair the same: digests, and the drawn order of pairs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from json.encoder import encode_basestring
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Max

from annotation import typesetting
from annotation.likeness import alike
from annotation.models import Candidate, Pair, Project, Run
from annotation.opening import open_slots

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

# Cannot occur in JSON unescaped, so that the parts of a digest never run together.
SEPARATOR = b"\x1e"


def as_json(value: Any) -> str:
    """The one way in which messages are written for a digest. Raises ValueError for NaN."""
    return _encode(value)


def messages_json(messages: Sequence[dict[str, str]]) -> bytes:
    """`as_json` of messages that have a role and a content and nothing else, encoded; an import spends its time here.

    Raises UnicodeEncodeError for half characters.
    """
    written = [
        b'{"role":%b,"content":%b}' % (_role(message["role"]), _quoted(message["content"])) for message in messages
    ]
    return b"[%b]" % b",".join(written)


# Those that JSON escapes, but for the line's end.
_CONTROLS = bytes(n for n in range(32) if n != 10)


def _quoted(text: str) -> bytes:
    """A text as JSON has it. The standard library looks at one character after the other."""
    raw = text.encode()
    if len(raw.translate(None, _CONTROLS)) != len(raw):
        return encode_basestring(text).encode()
    if b"\\" in raw:
        raw = raw.replace(b"\\", b"\\\\")
    if b'"' in raw:
        raw = raw.replace(b'"', b'\\"')
    if b"\n" in raw:
        raw = raw.replace(b"\n", b"\\n")
    return b'"%b"' % raw


_role = functools.lru_cache(maxsize=100)(_quoted)


def prompt_digest(messages: bytes | str, system: str = "") -> bytes:
    """sha256 over messages (JSON) and system message: one conversation is one prompt, whatever file it came from."""
    digest = hashlib.sha256(_bytes(messages))
    if system:
        digest.update(SEPARATOR + system.encode())
    return digest.digest()


def candidate_digest(messages: bytes | str, model: str = "", ordinal: int = 0) -> bytes:
    """sha256 over messages (JSON) and origin: the same text of two models is two candidates.

    `ordinal` tells two candidates of one pair apart where text and model are the same: 0 for one, 1 for the other.
    """
    digest = hashlib.sha256(_bytes(messages))
    digest.update(SEPARATOR + model.encode())
    if ordinal:
        digest.update(SEPARATOR + str(ordinal).encode())
    return digest.digest()


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


def generated_digest(messages: str, *, run: int, index: int) -> bytes:
    """sha256 over messages (JSON), run and place: samples that say the same stay two candidates."""
    digest = hashlib.sha256(messages.encode())
    digest.update(SEPARATOR + f"run {run} {index}".encode())
    return digest.digest()


def shuffle_key(seed: int, *parts: str) -> int:
    """A number that orders the pairs of a project: as good as drawn, the same for the same seed and pair. 63 bits."""
    key = seed.to_bytes(16, "big", signed=True)
    digest = hashlib.blake2b("\x1e".join(parts).encode(), key=key, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


# Any number, the same in every process: whoever holds it, with a project's number, may append pairs there.
RANK_LOCK = 7_234_003


def next_rank(*, project: Project) -> int:
    """The first free rank of a project. Nobody else can get it until the surrounding transaction ends."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("next_rank holds a lock that lasts as long as a transaction.")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s::int, (%s::bigint %% 2147483647)::int)", [RANK_LOCK, project.pk]
        )
    last = Pair.objects.filter(project=project).aggregate(last=Max("rank"))["last"]
    return 0 if last is None else last + 1


# ---- which candidates are paired: pure ------------------------------------------------------------------------------

Places = list[tuple[int, int]]


@dataclass(frozen=True)
class Entrant:
    """What pairing looks at of one candidate. `system` is what made it: model, revision, system message."""

    text: str
    system: tuple[str, ...] = ()
    polarity: str = ""
    # Its number among those of its polarity, and its rank by score, 1 is the best.
    number: int = 0
    rank: int | None = None


def _all(entrants: Sequence[Entrant]) -> Places:
    return list(combinations(range(len(entrants)), 2))


def _contrast(entrants: Sequence[Entrant]) -> Places:
    """Each candidate meant to be better with the one of the same number meant to be worse."""
    worse = {(one.number, one.polarity): at for at, one in enumerate(entrants)}
    found = []
    for at, one in enumerate(entrants):
        other = worse.get((one.number, Candidate.Polarity.WORSE))
        if one.polarity == Candidate.Polarity.BETTER and other is not None:
            found.append((at, other))
    return found


def _best_worst(entrants: Sequence[Entrant]) -> Places:
    """Of each system the best with the worst by score; an empty one only where there are no two others."""
    found = []
    for system in dict.fromkeys(one.system for one in entrants):
        ranked = [(one.rank, at) for at, one in enumerate(entrants) if one.system == system and one.rank is not None]
        filled = [(rank, at) for rank, at in ranked if entrants[at].text.strip()]
        met = filled if len(filled) >= 2 else ranked
        if len(met) >= 2:
            found.append((min(met)[1], max(met)[1]))
    return found


def _across(entrants: Sequence[Entrant]) -> Places:
    return [(i, j) for i, j in _all(entrants) if entrants[i].system != entrants[j].system]


PAIRINGS: dict[str, Callable[[Sequence[Entrant]], Places]] = {
    "all": _all,
    "sampled": _all,
    "best_worst": _best_worst,
    "across": _across,
    "contrast": _contrast,
}


@dataclass
class Paired:
    """Which places are paired, and how many were left out because the two say the same."""

    places: Places = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def choose_pairs(
    entrants: Sequence[Entrant],
    *,
    rule: str,
    near: float,
    per_prompt: int,
    rng: np.random.Generator,
    there: Collection[tuple[int, int]] = (),
) -> Paired:
    """Which candidates of one prompt are paired.

    Identical and near-identical ones are left out and counted under these names, before anything is drawn; empty
    candidates count as "empty". Of several candidates that say the same, the later ones meet nobody: their pairs would
    ask the same question again.

    Args:
        entrants: the candidates of one prompt, in the order of their places.
        rule: a key of PAIRINGS. "sampled" draws `per_prompt` of all pairs without replacement.
        near: from this Jaccard similarity on two candidates are near-identical.
        rng: draws; the same generator gives the same pairs.
        there: places that are paired already, the smaller one first. They stay: what asks the same meets nobody, and
            "sampled" draws only what is missing of `per_prompt`.
    """
    there = set(there)
    same, close = alike([one.text for one in entrants], near=near)
    found = Paired()
    kept: Places = []
    seen: set[tuple[int, int]] = set()
    leader = [int(np.argmax(row)) for row in same]
    # Those that are there come first, so that no later one asks their question.
    for i, j in sorted(PAIRINGS[rule](entrants), key=lambda places: (min(places), max(places)) not in there):
        if not entrants[i].text.strip() or not entrants[j].text.strip():
            found.left_out["empty"] += 1
        elif same[i, j]:
            found.left_out["identical"] += 1
        elif close[i, j]:
            found.left_out["near_identical"] += 1
        elif (question := (min(leader[i], leader[j]), max(leader[i], leader[j]))) in seen:
            found.left_out["repeated"] += 1
        else:
            seen.add(question)
            kept.append((i, j))
    if rule == "sampled" and len(kept) > per_prompt:
        stay = [places for places in kept if places in there]
        others = [places for places in kept if places not in there]
        drawn = rng.choice(len(others), size=max(0, per_prompt - len(stay)), replace=False)
        kept = [*stay, *(others[at] for at in sorted(drawn.tolist()))]
    found.places = kept
    return found


# ---- the write ------------------------------------------------------------------------------------------------------


def source_of(run: int) -> str:
    """What the pairs of a run that generated have as their source."""
    return f"run {run}"


@transaction.atomic
def pair_candidates(
    *, run: Run, prompts: Sequence[int], rule: str, near: float, per_prompt: int
) -> tuple[int, Counter[str]]:
    """Pair the candidates that a run made for these prompts, and open slots as an import does.

    What is drawn depends on the run's seed, the prompt and the pairs that are there: pairing twice adds nothing, and
    pairing what came later no more than was asked for. The pairs carry no label: a strategy's polarity is a
    pseudo-label and stays with its candidates. A pair with a toy's text carries the mark "toy" and opens no slot: the
    judging page is blind, so what must be marked cannot be on it.

    Returns how many pairs are new, and how many were left out, by reason.
    """
    project = run.project
    assert project is not None
    by_prompt: dict[int, list[Candidate]] = {prompt: [] for prompt in prompts}
    for candidate in Candidate.objects.filter(run=run, prompt__in=prompts).order_by("prompt_id", "index"):
        by_prompt[candidate.prompt_id].append(candidate)
    here: dict[int, set[tuple[int, int]]] = {prompt: set() for prompt in prompts}
    for prompt, first, second in Pair.objects.filter(prompt__in=prompts).values_list("prompt", "first", "second"):
        here[prompt].add((first, second))
    left_out: Counter[str] = Counter()
    new: list[tuple[int, int, int]] = []
    toys: set[int] = set()
    for prompt, candidates in by_prompt.items():
        toys.update(one.pk for one in candidates if one.is_toy)
        rng = np.random.default_rng([run.seed, prompt])
        place = {one.pk: at for at, one in enumerate(candidates)}
        met = [(place[a], place[b]) for a, b in here[prompt] if a in place and b in place]
        there = [(min(places), max(places)) for places in met]
        paired = choose_pairs(_entrants(candidates), rule=rule, near=near, per_prompt=per_prompt, rng=rng, there=there)
        left_out += paired.left_out
        for i, j in paired.places:
            first, second = sorted((candidates[i].pk, candidates[j].pk))
            if (first, second) not in here[prompt]:
                new.append((prompt, first, second))
    rank = next_rank(project=project)
    new.sort(key=lambda row: shuffle_key(project.seed, str(row[1]), str(row[2])))
    made = Pair.objects.bulk_create(
        Pair(
            project=project,
            prompt_id=prompt,
            first_id=first,
            second_id=second,
            rank=rank + at,
            source=source_of(run.pk),
            marks=["toy"] if {first, second} & toys else [],
            meta={"run": run.pk, "pairing": rule},
        )
        for at, (prompt, first, second) in enumerate(new)
    )
    ids = [pair.pk for pair in made]
    typesetting.typeset_pairs(pairs=ids)
    open_slots(project=project, pairs=ids)
    return len(made), left_out


def _entrants(candidates: Sequence[Candidate]) -> list[Entrant]:
    return [
        Entrant(
            text=one.text,
            system=(one.model, one.revision, str((one.provenance or {}).get("system", ""))),
            polarity=one.polarity,
            # Strategies with two polarities lay their candidates out better, worse, better, worse, ...
            number=one.index // 2,
            rank=(one.provenance or {}).get("rank"),
        )
        for one in candidates
    ]
