"""Files -> prompts, candidates, pairs, judgements, votes, rationales. docs/importing.md says what is refused."""

from annotation.importing.checking import Look, look, recognise
from annotation.importing.judgements import import_judgements
from annotation.importing.layouts import FIELDS, LAYOUTS
from annotation.importing.prompts import import_prompts
from annotation.importing.rationales import Reasoned, import_rationales, read_rationales
from annotation.importing.reasons import REASONS, Refusal, shown
from annotation.importing.reporting import Report, report_lines, write_report
from annotation.importing.storing import check, import_pairs
from annotation.importing.values import PairRow
from annotation.importing.votes import import_principle_votes

__all__ = [
    "FIELDS",
    "LAYOUTS",
    "REASONS",
    "Look",
    "PairRow",
    "Reasoned",
    "Refusal",
    "Report",
    "check",
    "import_judgements",
    "import_pairs",
    "import_principle_votes",
    "import_prompts",
    "import_rationales",
    "look",
    "read_rationales",
    "recognise",
    "report_lines",
    "shown",
    "write_report",
]
