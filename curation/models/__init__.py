"""The data of curation: measured, gathered, selected, settled, released."""

from curation.models.adjudications import Adjudication, Ruling
from curation.models.declared import Declared
from curation.models.embeddings import Embedding
from curation.models.facts import FactsArray, FactsState, PairFact
from curation.models.held_out import HeldOutLoss, HeldOutTraining
from curation.models.measurements import Measurement
from curation.models.releases import Release, Salt
from curation.models.selections import Selection

__all__ = [
    "Adjudication",
    "Declared",
    "Embedding",
    "FactsArray",
    "FactsState",
    "HeldOutLoss",
    "HeldOutTraining",
    "Measurement",
    "PairFact",
    "Release",
    "Ruling",
    "Salt",
    "Selection",
]
