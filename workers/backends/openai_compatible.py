"""A model behind an HTTP endpoint that speaks OpenAI's protocol: vLLM, TGI, llama.cpp's server, and others.

`choose` and `generate` by chat completions, with log-probabilities where they are offered. `score` is not offered by
the protocol: it tells nothing about a given text. What an endpoint does not tell is None, never a guess.

Only the standard library: a worker without torch can use endpoints. Keys come from the settings, belong to one base
address each, and are in no error and no log.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from workers.backends.primitives import (
    BRANCHING_TOP_P,
    TEXT,
    Beat,
    CannotAnswer,
    CannotLoad,
    Checkpoint,
    Choice,
    Generated,
    LogitsProcessor,
    Message,
    Sampling,
    Scored,
    generated,
)

KIND = "openai_compatible"

AT_ONCE = 8  # requests on their way at the same time
ATTEMPTS = 5
PAUSE = 1.0  # seconds before the second attempt; doubled before each further one
LONGEST_PAUSE = 60.0  # also of what Retry-After asks for
TIMEOUT = 300.0  # seconds for one answer
LARGEST_ANSWER = 16 * 2**20
# How many alternatives are asked for; some servers (TGI) allow no more than the second.
ALTERNATIVES = (20, 5)
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}

T = TypeVar("T")


class _Again(Exception):
    """This attempt failed in a way that may pass. `after`: what Retry-After asked for, in seconds."""

    def __init__(self, sentence: str, *, after: float = 0) -> None:
        super().__init__(sentence)
        self.after = after


class _Stopped(Exception):
    """The work was given up while a request waited for its next attempt."""


class _NotAccepted(CannotAnswer):
    """The endpoint understood and refused the request: 400 or 422."""


def connect(*, name: str, revision: str, url: str) -> Endpoint:
    """Check that the endpoint answers and serves the model. Raises CannotLoad with a sentence."""
    from django.conf import settings

    base = checked_address(url)
    endpoint = Endpoint(name=name, revision=revision, url=base, key=settings.ENDPOINT_KEYS.get(base, ""))
    endpoint.check_itself()
    return endpoint


def checked_address(url: str) -> str:
    """The base address, without a slash at its end. Raises CannotLoad with a sentence."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise CannotLoad("The endpoint's address cannot be read. Give it as http://host:8000/v1.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise CannotLoad("The endpoint's address must begin with http:// or https://, as http://host:8000/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise CannotLoad(
            "The endpoint's address must be a plain one, as http://host:8000/v1. A key belongs into "
            "PLUMBLINE_ENDPOINT_KEYS."
        )
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An endpoint that sends elsewhere would take the key and the texts with it."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class _Token:
    text: str
    log_probability: float
    alternatives: dict[str, float]  # the most probable tokens and their log-probabilities, the token's own among them


class Endpoint:
    """The primitives by HTTP. See `workers.backends.Backend` for the contract."""

    kind = KIND
    digest = ""
    is_toy = False

    def __init__(self, *, name: str, revision: str, url: str, key: str = "") -> None:
        self.model, self.revision, self.url, self._key = name, revision or "as served", url, key
        self.pause, self.timeout, self.at_once = PAUSE, TIMEOUT, AT_ONCE
        self.spent = 0
        self._counting = threading.Lock()
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._alternatives = ALTERNATIVES[0]

    def __repr__(self) -> str:
        return f"Endpoint({self.model!r} at {self.url})"

    def check_itself(self) -> None:
        try:
            listed = self._ask("/models", None, threading.Event())
        except CannotAnswer as error:
            raise CannotLoad(str(error)) from error
        try:
            names = [str(model["id"]) for model in listed["data"]]
        except (KeyError, TypeError) as error:
            raise CannotLoad(f"{self.url}/models does not list models. Is the address right?") from error
        if self.model not in names:
            served = ", ".join(names[:5]) or "nothing"
            raise CannotLoad(f"{self.url} does not serve “{self.model}”. It serves: {served}.")

    # ---- the primitives --------------------------------------------------------------------------------------------

    def score(
        self, items: Sequence[tuple[Sequence[Message], str]], *, top_k: int = 0, beat: Beat | None = None
    ) -> list[Scored]:
        raise CannotAnswer(
            f"{self.model} is behind an endpoint, which cannot say how probable a given text is. Use a local model."
        )

    def choose(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Beat | None = None
    ) -> list[Choice]:
        def one(place: int, stop: threading.Event) -> Choice:
            _, _, tokens, _ = self._complete(items[place], Sampling(max_tokens=1), stop, seed=0, prefix="")
            if not tokens or not tokens[0].alternatives:
                raise CannotAnswer(
                    f"{self.url} gives no log-probabilities of the first token, so {self.model} cannot judge. Switch "
                    "them on at the server, or use another model as judge."
                )
            mass = [
                sum(math.exp(value) for text, value in tokens[0].alternatives.items() if text.strip() == option)
                for option in options
            ]
            return Choice(np.minimum(np.array(mass, dtype=float), 1.0))

        answers = dict(self._each(len(items), one, beat))
        return [answers[place] for place in range(len(items))]

    def choose_after_prefix(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Beat | None = None
    ) -> list[Choice]:
        """As `choose`: servers keep what requests share by themselves (vLLM's prefix caching)."""
        return self.choose(items, options=options, beat=beat)

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        prefix: Sequence[str] | None = None,
        logits_processor: Sequence[LogitsProcessor] | None = None,
        checkpoint: Checkpoint | None = None,
        beat: Beat | None = None,
    ) -> Iterator[tuple[int, Generated]]:
        if logits_processor is not None or checkpoint is not None:
            raise CannotAnswer(
                f"{self.model} is behind an endpoint, which lets nobody steer how it draws, nor stop some texts on "
                "their way. Use a local model."
            )
        prefixes = list(prefix) if prefix is not None else [""] * len(conversations)
        if not len(conversations) == len(seeds) == len(prefixes):
            raise ValueError("generate: give one seed, and one prefix if any, per conversation.")

        def one(place: int, stop: threading.Event) -> Generated:
            text, finish, tokens, count = self._complete(
                conversations[place], sampling, stop, seed=seeds[place], prefix=prefixes[place]
            )
            return generated(
                text=text.removeprefix(prefixes[place]),
                token_count=count,
                finish=finish,
                log_probabilities=[token.log_probability for token in tokens],
                entropies=None,  # The tail of each distribution is not told.
                truncated=_truncated(tokens),
            )

        yield from self._each(len(conversations), one, beat)

    # ---- one completion --------------------------------------------------------------------------------------------

    def _complete(
        self,
        conversation: Sequence[Message],
        sampling: Sampling,
        stop: threading.Event,
        *,
        seed: int,
        prefix: str,
    ) -> tuple[str, Literal["stop", "length"], list[_Token], int]:
        """(text, how it ended, tokens with log-probabilities or none, number of tokens)."""
        body: dict[str, Any] = {
            "model": self.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed % 2**31,
        }
        # Not in the protocol, but understood by all three servers; sent only where it is asked for.
        body |= {key: value for key in ("top_k", "min_p") if (value := getattr(sampling, key))}
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        plain = conversation[0]["role"] == TEXT if conversation else False
        if plain:
            body["prompt"] = conversation[0]["content"] + prefix
        else:
            body["messages"] = list(conversation)
            if prefix:
                body["messages"].append({"role": "assistant", "content": prefix})
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        path = "/completions" if plain else "/chat/completions"

        def ask(alternatives: int) -> Mapping[str, Any]:
            more = {"logprobs": alternatives} if plain else {"logprobs": True, "top_logprobs": alternatives}
            return self._ask(path, {**body, **more}, stop, read=lambda answer: _first(answer, plain))

        wanted = self._alternatives  # Another request may change it meanwhile.
        try:
            choice = ask(wanted)
        except _NotAccepted:
            if wanted == ALTERNATIVES[-1]:
                raise
            choice = ask(ALTERNATIVES[-1])
            self._alternatives = ALTERNATIVES[-1]
        with self._counting:
            self.spent += choice["n_read"] + choice["n_tokens"]
        text = choice["text"] if plain else choice["message"].get("content") or ""
        tokens = _tokens(choice.get("logprobs"), plain)
        finish: Literal["stop", "length"] = "length" if choice.get("finish_reason") == "length" else "stop"
        # Some servers list the token that ended the turn, others do not.
        if finish == "stop" and len(tokens) > 1 and "".join(token.text for token in tokens[:-1]) == text:
            tokens.pop()
        return text, finish, tokens, len(tokens) or choice["n_tokens"]

    # ---- many at once ----------------------------------------------------------------------------------------------

    def _each(self, n: int, one: Callable[[int, threading.Event], T], beat: Beat | None) -> Iterator[tuple[int, T]]:
        """(place, answer) as they come, `at_once` on their way. The first that fails stops the others and is raised."""
        stop = threading.Event()
        pool = ThreadPoolExecutor(max_workers=self.at_once, thread_name_prefix="endpoint")
        waiting: dict[Future[T], int] = {}
        places = iter(range(n))
        try:
            while True:
                # Only so many are handed out: of a long list nothing need be taken back when the work is given up.
                for place in places:
                    waiting[pool.submit(one, place, stop)] = place
                    if len(waiting) == self.at_once:
                        break
                if not waiting:
                    return
                if beat is not None:
                    beat()
                done, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    # ---- one request -----------------------------------------------------------------------------------------------

    def _ask(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        stop: threading.Event,
        *,
        read: Callable[[Any], Mapping[str, Any]] = lambda answer: answer,
    ) -> Mapping[str, Any]:
        """The answer, after up to ATTEMPTS attempts. Raises CannotAnswer with a sentence."""
        pause = self.pause
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return read(self._send(path, body))
            except _Again as again:
                if attempt == ATTEMPTS:
                    raise CannotAnswer(f"{again} It was tried {ATTEMPTS} times.") from None
                if stop.wait(min(max(pause, again.after), LONGEST_PAUSE)):
                    raise _Stopped from None
                pause *= 2
        raise AssertionError("unreachable")

    def _send(self, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                content = answer.read(LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and broken connections
            reason = getattr(error, "reason", error)
            raise _Again(f"{self.url} cannot be reached ({type(reason).__name__}).") from None
        if len(content) > LARGEST_ANSWER:
            raise CannotAnswer(f"{self.url} sent an answer of more than {LARGEST_ANSWER:,} bytes.")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise _Again(f"{self.url} answered with something that is not JSON.") from None

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        if error.code in WORTH_ANOTHER_TRY:
            return _Again(f"{self.url} answered {error.code}.", after=retry_after(error.headers.get("Retry-After")))
        if error.code in {401, 403}:
            return CannotAnswer(
                f"{self.url} refused the key ({error.code}). Set it in PLUMBLINE_ENDPOINT_KEYS, as {self.url}=key."
            )
        if 300 <= error.code < 400:
            return CannotAnswer(f"{self.url} sends elsewhere ({error.code}). Register the address that answers.")
        said = self._without_key(error.read(2_000).decode("utf-8", errors="replace"))
        kind = _NotAccepted if error.code in {400, 422} else CannotAnswer
        return kind(f"{self.url} refused the request ({error.code}): {' '.join(said.split())[:200]}.")

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text


# ---- reading answers -----------------------------------------------------------------------------------------------


def retry_after(header: str | None) -> float:
    """Seconds that a Retry-After asks for, as a number or a date; 0 where it says nothing that can be read."""
    if not header:
        return 0.0
    try:
        return max(0.0, float(header)) if math.isfinite(float(header)) else 0.0
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


def _first(answer: Any, plain: bool) -> dict[str, Any]:
    """The first choice, with `n_read` and `n_tokens` (written) from the usage, 0 where it is silent.

    Raises _Again for what is no completion.
    """
    try:
        choice = dict(answer["choices"][0])
        text = choice["text"] if plain else choice["message"].get("content") or ""
        usage = answer.get("usage") or {}
        choice["n_read"] = max(0, int(usage.get("prompt_tokens") or 0))
        choice["n_tokens"] = max(0, int(usage.get("completion_tokens") or 0))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise _Again("The endpoint answered with JSON that is not a completion.") from None
    if not isinstance(text, str):
        raise _Again("The endpoint answered with a completion that is not text.")
    return choice


def _tokens(told: Any, plain: bool) -> list[_Token]:
    """Tokens with log-probabilities as both kinds of completions tell them; none where any of it cannot be used."""
    try:
        if plain:
            tops = told.get("top_logprobs") or [{}] * len(told["tokens"])
            rows = list(zip(told["tokens"], told["token_logprobs"], [top or {} for top in tops], strict=True))
        else:
            rows = [
                (
                    entry["token"],
                    entry["logprob"],
                    {top["token"]: top["logprob"] for top in entry.get("top_logprobs") or []},
                )
                for entry in told["content"]
            ]
        tokens = [
            _Token(str(text), float(value), {str(key): float(other) for key, other in tops.items()} | {text: value})
            for text, value, tops in rows
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
    sound = all(value <= 1e-3 for token in tokens for value in token.alternatives.values())  # NaN is not, either.
    return tokens if sound else []


def _truncated(tokens: Sequence[_Token]) -> list[tuple[float, float]] | None:
    """Entropy and log-probability under the top-p truncated distribution of each token, as decoding.figures has them.

    None unless the alternatives hold the truncated distribution whole at every token.
    """
    told: list[tuple[float, float]] = []
    for token in tokens:
        most = sorted(token.alternatives.items(), key=lambda item: (-item[1], item[0]))
        kept: dict[str, float] = {}
        for text, value in most:
            if sum(kept.values()) >= BRANCHING_TOP_P:
                break
            kept[text] = math.exp(value)
        if sum(kept.values()) < BRANCHING_TOP_P:
            return None
        kept.setdefault(token.text, math.exp(token.log_probability))
        mass = sum(kept.values())
        entropy = -sum(part / mass * math.log(part / mass) for part in kept.values() if part > 0)
        told.append((entropy, token.log_probability - math.log(mass)))
    return told
