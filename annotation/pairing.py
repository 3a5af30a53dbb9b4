"""What makes a prompt, a candidate, a pair the same: their digests, and the drawn order of pairs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from annotation.models import Pair, Project

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
