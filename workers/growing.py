"""What a model says of pairs without the best words of what several people marked, and with nothing but these."""

from __future__ import annotations

import numpy as np

from annotation.models import Pair
from annotation.running import Hold
from curation.measuring.faithfulness import FaithfulnessRequest, Shared, cut, only
from curation.measuring.growing import Growing, Place, grown, ranked
from workers.backends.primitives import Backend, CannotAnswer
from workers.pacing import Pace
from workers.questioning import Said, Texts, answers, of, texts_of

AT_ONCE = 8


class Growth:
    """One run on its way: which pairs are asked about, and what came back."""

    def __init__(self, hold: Hold, asked: FaithfulnessRequest, shared: Shared) -> None:
        self.asked, self.shared, self.seed = asked, shared, hold.run.seed
        self.failed = 0
        self.answers = Growing.none(len(shared.marked), len(asked.shares), left_out=shared.left_out)

    def ask_all(self, backend: Backend, pace: Pace) -> None:
        numbers = list(self.shared.marked)
        for at in range(0, len(numbers), AT_ONCE):
            some = numbers[at : at + AT_ONCE]
            loaded = Pair.objects.select_related("prompt", "first", "second").in_bulk(some)
            asked = {place: self._questions(loaded[number]) for place, number in enumerate(some, start=at)}
            for place, said in answers(backend, asked, beat=pace).items():
                if isinstance(said, CannotAnswer):
                    self.failed += 1
                else:
                    self._note(place, said)
            pace.add(len(some))

    def _questions(self, pair: Pair) -> dict[str, list[Texts]]:
        texts: dict[Place, str] = {
            (candidate.pk, place): str(one["content"])
            for candidate in (pair.first, pair.second)
            for place, one in enumerate(candidate.messages)
        }
        rng = np.random.default_rng([self.seed, pair.pk])
        words = ranked(texts, self.shared.marked[pair.pk], rng=rng)
        rationales = [grown(words, texts, share) for share in self.asked.shares]
        return {
            "full": [texts_of(pair)],
            "without": [texts_of(pair, one, cut) for one in rationales],
            "only": [texts_of(pair, one, only) for one in rationales],
        }

    def _note(self, place: int, said: Said) -> None:
        [all_] = said["full"]
        if all_ != all_:
            return
        is_first = all_ >= 0.5
        self.answers.full[place] = of(all_, is_first)
        self.answers.without[place] = [of(one, is_first) for one in said["without"]]
        self.answers.only[place] = [of(one, is_first) for one in said["only"]]
