"""Every page, light and dark, on a phone and on a desktop: nothing for axe-core to find, nothing in Chromium's console,
no request to another host, no sideways scrolling, and no more script and style than was promised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, Response, Route, expect

from tests.downloads import of_downloads
from tests.waiting import wait_until

from .pages import Person, part, violations

#: Bytes of script and style that a page may have, uncompressed. A run's page has the most.
MOST = 60_000
SIZES = {"phone": (360, 740), "tablet": (768, 1024), "desktop": (1440, 900)}

#: The rules of axe-core that look at colours.
COLOURS = ["color-contrast", "link-in-text-block"]

PAGES = {
    "home, empty": "bob /",
    "home, with runs": "alice /",
    "a run that runs": "alice /tasks/{running}/",
    "a run that waits": "alice /tasks/{waiting}/",
    "a run that failed": "sarah /tasks/{failed}/",
    "a run that finished, with its log": "alice /tasks/{finished}/",
    "a run with attempts and parts": "sarah /tasks/{tour}/",
    "all runs": "sarah /runs/",
    "failures": "sarah /runs/failures/",
    "now": "sarah /runs/now/",
    "schedules": "sarah /schedules/",
    "log in": "bob /login/",
    "not found": "bob /nothing/",
}


@dataclass
class Seen:
    people: dict[str, Person]
    runs: dict[str, str]

    def open(self, page: str) -> tuple[Page, list[Response]]:
        """The page of that name in PAGES, and the script and style that came for it."""
        who, path = PAGES[page].split(" ", 1)
        tab = self.people[who].context.new_page()
        came: list[Response] = []
        tab.on("response", lambda response: came.append(response))
        tab.goto(path.format(**self.runs))
        expect(part(tab, "Socket")).to_contain_text("live")
        if page == "not found":
            self.people[who].forgive("status of 404", times=1)
        return tab, [one for one in came if one.request.resource_type in ("script", "stylesheet") or is_code(one)]


def is_code(response: Response) -> bool:
    """Modules that a page asks for in advance are of type "other"."""
    kind = response.headers.get("content-type", "")
    return response.ok and ("javascript" in kind or "css" in kind)


@pytest.fixture(scope="module")
def seen(stack, staff, browser, tmp_path_factory) -> Iterator[Seen]:
    """Alice with runs in every state, bob with none, sarah of the staff."""
    gate = tmp_path_factory.mktemp("gate") / "open"
    people = {name: Person(browser, stack.url) for name in ("alice", "bob")}
    people["sarah"] = Person(browser, stack.url, account=staff)
    alice = people["alice"].visitor
    runs = {
        "failed": alice.start_job("fail", message="The disk is full: " + "/a/long/path" * 12),
        "finished": alice.start_task(task="demo_task"),
        "running": alice.start_job("hold", str(gate), timeout=600),
        "waiting": alice.start_job("nap", options={"countdown": 600}),
        "tour": people["sarah"].visitor.start_task(task="tour", seconds=2),
    }
    told = ["FAILURE", "SUCCESS", "STARTED", "PENDING", "SUCCESS"]
    sarah = people["sarah"].visitor
    wait_until(lambda: [sarah.task(run)["state"] for run in runs.values()] == told, 20, f"they are {told}")
    yield Seen(people, runs)
    gate.touch()
    alice.post(f"/tasks/{runs['waiting']}/cancel/")
    for person in people.values():
        person.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_to_all_in_every_size_and_colour_and_light(seen, name):
    page, came = seen.open(name)
    found = []
    # all that it knows at the widest and the narrowest; else what depends on colours
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
            rules = COLOURS if scheme == "dark" or size == "tablet" else None
            found += [f"{size}, {scheme}: {one}" for one in violations(page, rules)]
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond == 0, f"{size}: {beyond} px beyond the right edge"
    assert found == []

    weights = {one.url.rpartition("/static/")[2]: len(one.body()) for one in came}
    assert weights, "no script, no style"
    print("WEIGHT", name, sum(weights.values()), sorted(weights))
    assert sum(weights.values()) < MOST, weights
    page.close()
    for person in seen.people.values():
        assert person.complaints == []


def test_bars_say_their_value_to_those_who_do_not_see_them(seen):
    page, _ = seen.open("home, with runs")
    bars = page.get_by_role("region", name="My runs").get_by_role("progressbar")
    expect(bars).to_have_count(4)
    # no number where none was told: before the start, and of a run that failed before it said one
    for name, told in (("nap", None), ("hold", "0"), ("demo_task", "100"), ("fail", None)):
        bar = bars.and_(page.get_by_role("progressbar", name=f"Progress of {name}"))
        expect(bar).to_have_attribute("aria-valuemin", "0")
        expect(bar).to_have_attribute("aria-valuemax", "100")
        if told is None:
            assert bar.get_attribute("aria-valuenow") is None
        else:
            expect(bar).to_have_attribute("aria-valuenow", told)
    page.close()


def test_dialogs_with_errors_are_accessible(seen):
    page, _ = seen.open("home, empty")
    for opener, button, told in (
        ("Start…", "Start", "steps must be a whole number"),
        *of_downloads(("Download reports…", "Download", "Seller ids must name at least one seller.")),
    ):
        page.get_by_role("button", name=opener).click()
        if button == "Start":
            page.get_by_label("Steps").fill("0")
            page.get_by_text("The same from a script").click()
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_text(told)).to_be_visible()
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
                assert violations(page, COLOURS if scheme == "dark" else None) == []
        page.keyboard.press("Escape")
    seen.people["bob"].forgive("status of 400", times=1 + len(of_downloads(1)))
    page.close()


#: template: the status it comes with, what it is made with, and what it says.
ERRORS = {
    "403.html": (403, {}, "You may not do this."),
    "403_csrf.html": (403, {}, "The form has expired"),
    "429.html": (429, {"sentence": "Slowly.", "wait": 600}, "Again in 600 s."),
    "500.html": (500, {}, "Something broke on our side"),
    "error.html": (503, {"title": "Later", "sentence": "The database rests."}, "The database rests."),
}


def fulfilled(answer: dict[str, Any], route: Route) -> None:
    route.fulfill(**answer)


def test_pages_of_errors_are_accessible_and_look_like_the_site(seen, stack):
    code = f"""import json
from django.shortcuts import render
from django.test import RequestFactory
pages = {{name: render(RequestFactory().get("/"), name, told).content.decode()
    for name, (_, told, _) in {ERRORS!r}.items()}}
print(json.dumps(pages))"""
    made = json.loads(stack.shell(code).splitlines()[-1])
    bob = seen.people["bob"]
    bob.cut = True  # a page that no server has sent may not reach one
    page = bob.context.new_page()
    for name, (_, _, said) in ERRORS.items():
        answer = {"status": ERRORS[name][0], "content_type": "text/html; charset=utf-8", "body": made[name]}
        page.route("**/broken/", partial(fulfilled, answer))
        page.goto("/broken/")
        expect(page.get_by_text(said).first).to_be_visible()
        expect(page.locator(".card")).not_to_have_css("border-top-width", "0px")  # the site's own style is there
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
                assert violations(page, COLOURS if scheme == "dark" else None) == [], name
        page.unroute_all()
    page.close()
    bob.cut = False
