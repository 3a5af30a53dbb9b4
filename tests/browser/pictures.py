"""The pictures of the judging page in docs/images, taken anew from the page as it is.

    python -m tests.browser.pictures

Light, dark, on a phone, from right to left, and in German; in a database of their own, with the real web server.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.harness import CHROMIUM, NO_CHROMIUM, set_up, throw_away_database
from bench.serving import web_server

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "Why do my mortgage payments hardly lower what I owe in the first years?"
GOOD = """A mortgage payment has two parts: **interest** on what you still owe, and **principal**, which lowers it.

1. Each month the bank charges interest on the balance. At 6 % a year, a balance of €200,000 costs €1,000 in the first \
month.
2. Whatever you pay beyond that lowers the balance.
3. Next month the balance is smaller, so the interest is smaller and more of the same payment goes to the principal.

That is why the first years feel slow: most of what you pay is interest. It is also why an extra payment early on \
saves more than the same payment late."""
BAD = """Great question! Mortgages can be confusing, so let us break it down.

A mortgage is a loan that you take from a bank to buy a house. You pay it back every month over many years, often 20 \
or 30. The monthly payment stays the same, and the bank earns money on the loan.

At the beginning the payments are mostly principal, and towards the end they are mostly interest. You can also pay \
more when you have money left, but many banks charge a fee for that. It is always best to ask a professional for \
advice."""
ARABIC = (
    "لماذا تبدو الشمس حمراء عند الغروب؟",
    "تغرب الشمس حمراء لأن ضوءها يقطع عند الأفق طريقًا أطول في الهواء.\n\n"
    "جزيئات الهواء **تشتّت الضوء الأزرق** أكثر من الأحمر، فيصل إلينا ما بقي: الأحمر والبرتقالي.",
    "الشمس تصبح حمراء في المساء لأنها تبرد قليلًا قبل أن تغيب.\n\n"
    "وعندما يكون الجو صافيًا نرى اللون أوضح، أما الغيوم فتعكسه.",
)
REASON = {
    "en": "B has the order of interest and principal the wrong way round.",
    "de": "B verwechselt Zins und Tilgung.",
}


def a_project(slug: str, prompt: str, first: str, second: str) -> str:
    """One pair in a project of its own, with the first candidate as A. Returns the annotator's session."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.utils import timezone

    from annotation import guiding, typesetting
    from annotation.models import Annotator, Assignment, Candidate, Pair, Project, Prompt, User
    from config.sessions import SessionStore

    project = Project.objects.create(slug=slug, name="Everyday help")
    guiding.publish_guideline(project=project, text="Which answer would help this person more?")
    asked = Prompt.objects.create(
        project=project, digest=slug.encode(), messages=[{"role": "user", "content": prompt}], renderer=0
    )
    said = [
        Candidate.objects.create(
            prompt=asked, digest=text.encode()[:32], messages=[{"role": "assistant", "content": text}], renderer=0
        )
        for text in (first, second)
    ]
    pair = Pair.objects.create(project=project, prompt=asked, first=said[0], second=said[1], rank=1)
    typesetting.typeset(project=project)
    user = User.objects.create_user(f"ada-{slug}@example.org", None, name="Ada")
    me = Annotator.objects.create(project=project, user=user, name=user.name)
    guiding.acknowledge(annotator=me, guideline=Project.objects.get(pk=project.pk).guideline)  # type: ignore[arg-type]
    Assignment.objects.create(
        project=project,
        pair=pair,
        slot=1,
        priority=1,
        annotator=me,
        swapped=False,
        lease_until=timezone.now() + timedelta(minutes=30),
    )
    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), "annotation.signing_in.Backend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key or ""


def judged(page: Any, reason: str, *steps: str) -> None:
    """Highlight by keyboard, write a reason, choose; then wait until it is saved."""
    for key in steps:
        page.keyboard.press(key)
    if reason:
        page.locator("#note").fill(reason)
    page.keyboard.press("Escape")
    page.locator("#item-heading").focus()
    page.keyboard.press("2")
    page.locator("[data-save][data-kind=saved]").wait_for()
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    page.evaluate("document.fonts.ready.then(() => true)")
    page.wait_for_timeout(500)


IN_A, IN_B = ["h", *["ArrowDown"] * 3, "+"], ["b", *["ArrowDown"] * 5, "-", "Escape"]
PICTURES: list[tuple[str, str, list[str], dict[str, Any]]] = [
    ("judging-light", "plain", [*IN_A, *IN_B], {"color_scheme": "light"}),
    ("judging-dark", "plain", [], {"color_scheme": "dark"}),
    ("judging-phone", "plain", [], {"color_scheme": "light", "viewport": {"width": 390, "height": 844}}),
    ("judging-german", "plain", [], {"color_scheme": "light", "locale": "de"}),
    ("judging-rtl", "arabic", ["h", "ArrowDown", "+", "Escape"], {"color_scheme": "light"}),
]


def main() -> int:
    if CHROMIUM is None:
        print(NO_CHROMIUM)
        return 1
    set_up()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from playwright.sync_api import sync_playwright

    from config import embedded

    with throw_away_database() as database:
        entered = {"plain": a_project("plain", QUESTION, GOOD, BAD), "arabic": a_project("arabic", *ARABIC)}
        with (
            web_server(database=database, workers=1, log=embedded.var_folder() / "pictures.log") as (port, _),
            sync_playwright() as driver,
        ):
            address = f"http://127.0.0.1:{port}"
            chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for name, slug, steps, options in PICTURES:
                context = chromium.new_context(
                    base_url=address,
                    **{"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **options},
                )
                context.set_default_timeout(60_000)
                context.add_cookies([{"name": "plumbline", "value": entered[slug], "url": address}])
                page = context.new_page()
                page.goto(f"/p/{slug}/judge")
                judged(page, REASON[options.get("locale", "en")] if slug == "plain" else "", *steps)
                path = ROOT / "docs" / "images" / f"{name}.png"
                page.screenshot(path=path)
                print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB")
                context.close()
            chromium.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
