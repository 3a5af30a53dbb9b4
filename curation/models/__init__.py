"""The data of curation: measured, selected, released."""

from curation.models.measurements import Measurement
from curation.models.releases import Release
from curation.models.selections import Selection

__all__ = ["Measurement", "Release", "Selection"]
