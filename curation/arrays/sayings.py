"""What a judgement, and the source of a pair, can say: codes that the arrays have in common, and their SQL."""

from __future__ import annotations

from annotation.models import Pair

# What a judgement says of its pair, as names and in this order everywhere.
VERDICTS = ("first", "second", "tie", "both_bad")
# A judgement that says nothing of the pair, beside the codes of `VERDICTS`.
SKIP = len(VERDICTS)
STRENGTHS = (-3, -2, -1, 0, 1, 2, 3)
# What the source of a pair said of it, as codes.
LABELS = {label.value: code for code, label in enumerate(Pair.Label)}

# First and second are numbered as their rows happened to be written; the file that a pair came with had its own order.
# Kappa and alpha move a little when half of the names are turned round (PandaLM: .0003), so labels follow the file:
# then a published figure is found again.
TURNED = "coalesce(p.meta #>> '{imported,a}' = 'second', false)"

# What is right of a gold pair, for its first candidate as it is stored: what the lead said
# (annotation/marking_gold.py) or, of pairs that came as gold, the label of their source.
GOLD = "coalesce(nullif(p.gold_verdict, ''), p.label)"
