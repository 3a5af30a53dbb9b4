"""Texts of the interface that no template holds: what scripts say, and words for stored values inside of a sentence.

English is written here and in the templates; `locale/` holds the translations. See docs/translating.md.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext, npgettext, pgettext
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy as _in

# ---- what the scripts of the judging page say ------------------------------------------------------------------------

PHRASES = {
    # Answers, as they are echoed.
    "a3": _("A much better"),
    "a2": _("A better"),
    "a1": _("A slightly better"),
    "same": _("About the same"),
    "b1": _("B slightly better"),
    "b2": _("B better"),
    "b3": _("B much better"),
    "bad": _("Both bad"),
    "skip": _("Skipped"),
    "flagged_too": _in("after an answer and a dot: it was flagged as well", "flagged"),
    # The line above the answers.
    "principles_first": _("Principle by principle first"),
    "principles_first_said": _("Principle by principle first. Press M."),
    "no_tie": _("This project asks for a decision: A or B"),
    "no_both_bad": _("This project does not offer both bad"),
    "choose_first": _("Choose an answer first"),
    "which_decided": _("Your principles pull apart: which one decided?"),
    "say_why_first": _("Say why first: a tag or a sentence"),
    "reason_too_short": _("Say why in %(least)s characters or more; there are %(n)s"),
    "no_reason_yet": _("No reason yet. Submit again to send without one."),
    "draft_not_saved": _("The draft could not be saved"),
    # Flags.
    "flag": _in("a button: flag this pair", "Flag"),
    "flagged": _("Flagged"),
    "flagged_as": _("Flagged: %(flag)s"),
    "flag_removed": _("Flag removed: %(flag)s"),
    # How far what was entered is saved.
    "saved": _("Saved"),
    "saving": _("Saving…"),
    "local": _("Kept on this device"),
    "kept_until_saved": _("Kept here until you save"),
    "change_discarded": _("The change is discarded. The answer is as it was saved."),
    "edit_overtaken": _("You have changed this answer elsewhere since. What is saved stands here."),
    "not_saved_yet": _("Not saved yet"),
    "window_only": _("Only in this window"),
    "changed_elsewhere": _("Changed in another window"),
    "other_version": _("There is another version of this draft."),
    "versions_first": _("Another version of this draft waits. Submit again to send this one."),
    "other_taken": _("The other version stands here now"),
    # The line in the top bar.
    "saved_as": _("Saved: %(answer)s"),
    "kept_as": _("Kept here: %(answer)s"),
    "window_as": _("Only in this window: %(answer)s"),
    "nothing_waits": _("Nothing waits on this device."),
    "waits_still": _("Your last answer is not sent yet. It can be taken back once it is."),
    "of_pair": _("of pair %(n)s"),
    "pair": _("Pair %(n)s"),
    "not_saved": _("Not saved. What you wrote is kept here."),
    "not_yours": _("This pair is no longer yours. What you wrote is kept here."),
    "go_on": _("Go on"),
    "sign_in_first": _("Not sent: sign in again first"),
    "no_connection": _("No connection. Try again in a moment."),
    "no_connection_kept": _("No connection: kept here. Try again in a moment."),
    "server_said": _("The server answered %(status)s. Load the page again."),
    "server_said_kept": _("The server answered %(status)s. Nothing was lost; try again."),
    "signed_out": _("You are signed out. Your text is kept here."),
    "signed_out_window": _("You are signed out, and this browser keeps no text. Copy yours before you leave."),
    "sign_in_again": _("Sign in again"),
    "leave_anyway": _("Sign out again to leave anyway."),
    "page_too_old": _("This page is older than your sign-in. Your text is kept here."),
    "load_again": _("Load it again"),
    "text_kept": _("One answer could not be saved. Its text is kept here."),
    "draft_kept": _("A pair is no longer open with you. What you wrote about it is kept here."),
    "unseen_kept": _("You had written about it on another device too. Those words are kept here."),
    "a_draft": _("A draft"),
    "kept_not_saved": _("One kept answer could not be saved."),
    "kept_text": _("Kept text"),
    "new_guideline": _("The guideline has a new version."),
    "guideline_first": _("Not sent yet: read the guideline first, then submit again. Your answer stays here."),
    "read_what_changed": _("Read what changed"),
    "reopened": _("Reopened. Your answer is as you left it."),
    "pair_arrived": _("A pair has arrived. Press the button to judge it."),
    "break": _("You have judged for 50 minutes. A short break keeps your eye fresh."),
    "break_drift": _("You judge differently from how you usually do. A short break keeps your eye fresh."),
    "goes_back_in": _("This pair goes back in %(time)s."),
    "goes_back_at": _("This pair goes back at %(time)s. Press any key to keep it."),
    "hold_over": _("Your hold on this pair has run out. What you wrote is kept here."),
    # Highlights.
    "supports": _("Supports"),
    "hurts": _("Hurts"),
    "supports_side": _("Supports %(side)s: %(words)s"),
    "hurts_side": _("Hurts %(side)s: %(words)s"),
    "the_prompt": _in("after supports or hurts", "the prompt"),
    "in_the_prompt": _in("before: sentence 3 of 7", "the prompt"),
    "side_sentence": _("%(side)s, sentence %(where)s"),
    "sentence": _("Sentence %(where)s"),
    "n_of": _("%(n)s of %(all)s"),
    "change": _in("a button: change this", "Change"),
    "not_shown": _("(not shown here)"),
    "remove": _("Remove"),
    "remove_highlight": _("Remove highlight: %(words)s"),
    "highlight_removed": _("Highlight removed"),
    "step_move": _in("what an arrow key does", "move"),
    "step_extend": _in("what Shift and an arrow key do", "extend"),
    "step_supports": _in("what the plus key says", "supports"),
    "step_hurts": _in("what the minus key says", "hurts"),
    "esc": _("Esc"),
    # Reading.
    "collapse": _("Collapse"),
    "expand": _("Expand"),
    "b_left": _("B stands left now"),
    "a_left": _("A stands left again"),
    "as_meant": _("The text as it is meant to look"),
    "raw_text": _("The raw text"),
    "raw_not_loaded": _("The raw text did not load. Try again in a moment."),
    "unseen_none": _("There are no invisible characters"),
    "unseen_hidden": _("Invisible characters hidden"),
    "compared": _("The words that only A or only B has are underlined"),
    "not_compared": _("Words no longer compared"),
    "cannot_compare": _("This browser cannot underline words in a text. A newer one can."),
    "too_long_to_compare": _("These texts are too long to compare word by word."),
    "linked": _("Scrolling linked"),
    "not_linked": _("Scrolling not linked"),
    # The guideline, and principle by principle.
    "guideline_not_loaded": _("The guideline did not load. Close this and try again in a moment."),
    "not_saved_try_again": _("That was not saved. Try again in a moment."),
    "version_read": _("You have read this version."),
    "votes_after": _("After the overall answer."),
    "votes_first": _("First these, then the overall answer."),
    "not_by_principle": _("This pair is not asked by principle."),
    "overall_first": _("The overall answer comes first."),
    # Keys, and changing them.
    "key_guideline": _("Guideline"),
    "key_shortcuts": _("This list"),
    "key_undo": _("Undo"),
    "key_prompt": _("Collapse the prompt"),
    "key_link": _("Link scrolling"),
    "key_skip": _("Skip"),
    "key_flag": _in("a button: flag this pair", "Flag"),
    "key_note": _("Write why"),
    "key_tags": _("Tags"),
    "key_highlight": _("Highlight"),
    "key_principles": _("By principle"),
    "key_diff": _("Compare words"),
    "key_turn": _("Swap sides"),
    "key_reasons": _("Machine reasons"),
    "key_order": _("Your order"),
    "key_raw": _("Raw text"),
    "key_invisible": _("Invisible characters"),
    "key_edit": _("Edit the better answer"),
    "key_versions": _("Two versions of a draft"),
    "key_down": _("Scroll down"),
    "key_up": _("Scroll up"),
    "key_earlier_answer": _("Earlier answer"),
    "key_later_answer": _("Later answer"),
    "key_change": _("%(name)s: %(key)s. Change"),
    "key_taken": _("%(key)s is %(name)s already."),
    "key_unfit": _("Choose a letter or a sign; digits are the answers."),
    "key_press": _("Press the key for %(name)s. Escape leaves it."),
    "keys_usual": _("All keys are the usual ones again."),
}


def ngettext_noop(one: str, many: str) -> tuple[str, str]:
    """Marks a text with a number for translation; `script_texts` translates it."""
    return one, many


COUNTED = {
    "words": ngettext_noop("%(n)s word", "%(n)s words"),
    "highlights": ngettext_noop("%(n)s highlight", "%(n)s highlights"),
    "earlier_turns": ngettext_noop("%(n)s earlier turn", "%(n)s earlier turns"),
    "unseen_shown": ngettext_noop("%(n)s invisible character shown", "%(n)s invisible characters shown"),
    "offline": ngettext_noop("Offline: kept here, %(n)s waiting", "Offline: kept here, %(n)s waiting"),
    "offline_window": ngettext_noop(
        "Offline: only in this window, %(n)s waiting", "Offline: only in this window, %(n)s waiting"
    ),
    "principles_open": ngettext_noop(
        "%(n)s principle open. Submit again to send.",
        "%(n)s principles open. Submit again to send.",
    ),
    "answers_kept": ngettext_noop(
        "%(n)s answer is kept here and not sent yet.", "%(n)s answers are kept here and not sent yet."
    ),
    "answers_in_window": ngettext_noop(
        "%(n)s answer is not sent yet and only in this window. Leave it open.",
        "%(n)s answers are not sent yet and only in this window. Leave it open.",
    ),
    "answers_sent": ngettext_noop("Sent: %(n)s answer that waited here", "Sent: %(n)s answers that waited here"),
    "answers_unsent": ngettext_noop(
        "%(n)s answer is not sent yet.",
        "%(n)s answers are not sent yet.",
    ),
    "drafts_unsent": ngettext_noop(
        "%(n)s draft is not saved and goes when you sign out.",
        "%(n)s drafts are not saved and go when you sign out.",
    ),
}


def _plural_form(n: int) -> int:
    """Which form of the language goes with a number: a catalogue translates this text by the number of the form."""
    return int(npgettext("the number of this plural form: 0, 1, 2 and so on", "0", "1", n))


def texts() -> dict[str, Any]:
    """Everything that scripts say, in the language of the thread.

    `plural` holds the form of 0 to 199: beyond that, in every language, the last two digits decide.
    """
    forms = [_plural_form(n) for n in range(200)]
    found: dict[str, Any] = {name: str(text) for name, text in PHRASES.items()}
    for name, (one, many) in COUNTED.items():
        found[name] = [ngettext(one, many, forms.index(form)) for form in range(max(forms) + 1)]
    return {**found, "plural": "".join(map(str, forms))}


@functools.lru_cache(maxsize=8)
def _script_texts(language: str | None) -> SafeString:
    return json_script(texts(), "texts")


def script_texts() -> SafeString:
    """The element that a page brings along for its scripts. Made once per language and process."""
    return _script_texts(get_language())


# Why there is nothing to judge: a title and a sentence. The reasons are told apart by assigning.py.
NOTHING_TO_JUDGE = {
    "setup": (_("Nothing to judge yet."), _("This project is being set up. The pairs have not been released.")),
    "paused": (
        _("This project is paused."),
        _("The project's lead has paused judging. Your answers are saved, and drafts are kept."),
    ),
    "closed": (
        _("This project is closed."),
        _("Judging has ended. Your answers are saved and can no longer be changed."),
    ),
    "no_pairs": (_("Nothing to judge yet."), _("No pairs have been imported into this project.")),
    "elsewhere": (
        _("That was the last pair for you for now."),
        _("Every remaining pair is open with another annotator."),
    ),
    "yours_done": (_("You have judged every pair."), _("There is no pair in this project that you have not judged.")),
    "all_done": (_("That was the last pair for you."), _("Every other pair has all the judgements that it needs.")),
    "waiting": (_("One moment."), _("A pair has just become free. Check for new pairs.")),
}

# ---- words for stored values -----------------------------------------------------------------------------------------

# Codes of roles and states as they stand inside of a sentence.
IN_A_SENTENCE = {
    "annotator": _in("you are invited as", "annotator"),
    "adjudicator": _in("you are invited as", "adjudicator"),
    "lead": _in("you are invited as", "lead"),
    "setup": _in("the project is", "setting up"),
    "judging": _in("the project is", "judging"),
    "paused": _in("the project is", "paused"),
    "closed": _in("the project is", "closed"),
}


def in_a_sentence(code: str) -> str:
    return str(IN_A_SENTENCE.get(code, code))


# What a project is given when its lead writes nothing of their own. Everything else is the project's text, and stays.
OFFERED = (
    _in("offered by a new project", "Which is better overall?"),
    _in("offered by a new project", "Correctness"),
    _in("offered by a new project", "Follows request"),
    _in("offered by a new project", "Clarity"),
    _in("offered by a new project", "Depth"),
    _in("offered by a new project", "Length"),
    _in("offered by a new project", "Tone"),
    _in("offered by a new project", "Safety"),
    _in("offered by a new project", "Format"),
)


def as_offered(text: str) -> str:
    """The question or a tag of a project: translated where it is the one that every new project is offered."""
    return pgettext("offered by a new project", text) if text else text


# ---- the frame around a rendered text --------------------------------------------------------------------------------

# What rendering.py writes around the texts of people and models. No text of theirs can hold these: it is escaped.
FRAME = {
    "System": _in("who speaks", "System"),
    "Person": _in("who speaks", "Person"),
    "Assistant": _in("who speaks", "Assistant"),
    "Tool": _in("who speaks", "Tool"),
    "Code": _in("a part of a text", "Code"),
    "Table": _in("a part of a text", "Table"),
}
_FRAME = re.compile(
    r'(<p class="turn__who">)(System|Person|Assistant|Tool)(</p>)|( role="group" aria-label=")(Code|Table)(")'
)


def framed(html: str) -> str:
    """A rendered text with the few words around it in the reader's language. The text itself is never touched."""
    if (get_language() or "en").startswith("en"):
        return html
    return _FRAME.sub(_in_language, html)


def _in_language(found: re.Match[str]) -> str:
    before, word, after = filter(None, found.groups())
    return f"{before}{FRAME[word]}{after}"
