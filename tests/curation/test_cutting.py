"""What is written of a cut is read as it is told, and what is no cut is refused with what would be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.errors import Refused
from curation.cutting import Cut, cut_of, cuts_of

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}", fullmatch=True)
MODELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9/:=. _-]{0,40}[A-Za-z0-9]", fullmatch=True)
SHARES = st.floats(0.001, 0.999)


@given(SHARES, NAMES, MODELS)
def test_told_and_read_again_it_is_the_same(share: float, name: str, model: str) -> None:
    """Whatever colons and equals signs the model has; in percent to six places, as the page has them."""
    for cut in (Cut(share), Cut(share, name, model)):
        assert cut_of(cut.told) == cut
        rounded = Cut(round(share, 6), cut.name, cut.model)
        assert cut_of(rounded.in_percent, of=100) == rounded


def test_shares_alone_mean_what_they_always_meant() -> None:
    assert cuts_of([0.5, 0.25, 0.5]) == (Cut(0.25), Cut(0.5))
    assert cuts_of(["64", "81"], of=100) == (Cut(0.64), Cut(0.81))
    assert Cut(0.64).config("trl_dpo") == "trl_dpo-easiest-64"
    assert Cut(0.64, "small", "x").config("trl_dpo") == "trl_dpo-easiest-64-small"


@pytest.mark.parametrize(
    ("given", "of", "says"),
    [
        (["half"], 1, "'half' is not a share. Write a number, as 0.5, or small=MODEL:0.5"),
        (["nan"], 1, "is not a share"),
        (["1"], 1, "more than 0 and less than 1, not '1'"),
        (["150"], 100, "less than 100, not '150': 50 is the easier half"),
        (["small=model"], 1, "is no cut for a model"),
        (["small=:0.5"], 1, "is no cut for a model"),
        (["=model:0.5"], 1, "is no cut for a model"),
        (["../up=model:0.5"], 1, "a name of at most 30 letters"),
        (["small=model:half"], 1, "is not a share"),
        (["small=model:2"], 1, "less than 1, not '2'"),
        (["a=x:0.5", "a=y:0.5"], 1, "Two cuts are called a"),
        ([0.5, 0.50000001], 1, "so nearly the same"),
    ],
)
def test_what_is_no_cut_is_refused(given: list[float | str], of: float, says: str) -> None:
    with pytest.raises(Refused) as refusal:
        cuts_of(given, of=of)
    assert says in str(refusal.value)
