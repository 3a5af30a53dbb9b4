"""The pictures of the board in docs/images, taken anew from the page as it is.

    python -m tests.browser.board_pictures [FOLDER] [--folder-of-data DIR]

Twenty thousand synthetic pairs, and MT-bench with its votes where that data lies in DIR; each in a database of its own,
light and dark, with the real web server. FOLDER is docs/images unless another is named.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.board import seed
from bench.harness import set_up, throw_away_database
from bench.serving import web_server

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 20_000
# Name, colours, address, and whether the first pair of the table is opened.
Picture = tuple[str, str, str, bool]
SYNTHETIC: list[Picture] = [
    ("board-light", "light", "difficulty=0.55..0.97&agreement=0.5..0.88&discretion=consensus,conflict", False),
    ("board-dark", "dark", "difficulty=0.4..1&colour=discretion", True),
]
MTBENCH: list[Picture] = [
    ("board-mtbench-light", "light", "difficulty=0.2..0.8&judgements=2..8", False),
    ("board-mtbench-dark", "dark", "difficulty=0.2..0.8&judgements=2..8", False),
]

# `made` is the table that the seeding leaves behind: `amb` is how ambiguous a pair is.
MORE = [
    """INSERT INTO assignment (id, project_id, pair_id, slot, priority, annotator_id, swapped, done_at)
       SELECT 1000000 + 10 * i + k, %s, i, k, i, 1 + (i * 7 + k * 13) %% 60, i %% 2 = 0, now()
       FROM made CROSS JOIN generate_series(4, 8) k WHERE k <= 3 + floor(6 * u ^ 2.5)""",
    """INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength, strength_known,
       skip_reason, flags, swapped, client, created_at)
       SELECT a.id, a.annotator_id, 1, true, gen_random_uuid(), 'prefer',
       (CASE WHEN random() < 0.95 - 0.5 * amb THEN 1 ELSE -1 END) * (CASE WHEN i %% 2 = 0 THEN 1 ELSE -1 END)
         * (1 + floor(3 * random() * (1 - 0.6 * amb)))::int, true, '', '{}', false, '', now()
       FROM made JOIN assignment a ON a.pair_id = i AND a.slot > 3 AND a.project_id = %s""",
]


def synthetic() -> Any:
    from django.db import connection

    from annotation.models import Project
    from curation.gathering import gather_facts

    project = Project.objects.create(slug="round-4", name="Helpful and harmless, round 4", overlap=3)
    seed(project.pk, pairs=PAIRS)
    # Some were judged by more: with three judgements each, agreement has so few levels that the plane is a few lines.
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for statement in MORE:
            cursor.execute(statement, [project.pk])
        cursor.execute("SET session_replication_role = DEFAULT")
    gather_facts(project=project, command="pictures")
    return project


def enter(project: Any) -> str:
    """A lead's session."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from annotation.models import Annotator, User
    from config.sessions import SessionStore

    user = User.objects.create_user("lena@example.org", None, name="Lena")
    Annotator.objects.create(project=project, user=user, role="lead", name="Lena")
    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), "annotation.signing_in.Backend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key or ""


def take(project: Any, pictures: Sequence[Picture], *, database: str, chromium: Any, folder: Path) -> None:
    from config import embedded

    cookie = enter(project)
    with web_server(database=database, workers=1, log=embedded.var_folder() / "pictures.log") as (port, _):
        address = f"http://127.0.0.1:{port}"
        for name, colours, query, is_opened in pictures:
            context = chromium.new_context(
                base_url=address,
                viewport={"width": 1440, "height": 900},
                reduced_motion="reduce",
                color_scheme=colours,
            )
            context.set_default_timeout(60_000)
            context.add_cookies([{"name": "plumbline", "value": cookie, "url": address}])
            page = context.new_page()
            page.goto(f"/p/{project.slug}/board?{query}")
            page.locator("#board[data-live]").wait_for()
            page.evaluate("board.settled()")
            page.locator("#table:not(.busy)").wait_for()
            if is_opened:
                page.locator("tr[data-pair] a").first.click()
                page.locator("#drawer:not([hidden])").wait_for()
                page.evaluate("scrollTo(0, 0)")
            page.evaluate("document.fonts.ready.then(() => true)")
            page.wait_for_timeout(500)
            path = folder / f"{name}.png"
            page.screenshot(path=path)
            said = page.locator("#selected").inner_text()
            print(f"{path.name}: {path.stat().st_size // 1024} kB, {said} pairs selected")
            context.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Takes the pictures of the board anew.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--folder-of-data", type=Path, help="Where the files of MT-bench lie.")
    asked = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("Chromium is not here. On Debian: apt-get install chromium")
        return 1
    set_up()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from django.conf import settings
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        with throw_away_database() as database:
            take(synthetic(), SYNTHETIC, database=database, chromium=chromium, folder=asked.folder)
        if asked.folder_of_data is None:
            print("MT-bench is left as it is: name the folder of its files.")
            return 0
        from tests.browser.test_walk import make_mtbench

        with throw_away_database() as database, tempfile.TemporaryDirectory() as folder:
            settings.MODEL_ROOTS = [Path(folder)]
            project = make_mtbench(asked.folder_of_data, Path(folder))
            project.name = "MT-bench, human votes"
            project.save()
            take(project, MTBENCH, database=database, chromium=chromium, folder=asked.folder)
        chromium.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
