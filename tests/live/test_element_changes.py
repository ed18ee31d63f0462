"""`<task-progress>` in pages that change: attributes, morphs, moves, replacements; and for who is signed out."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .fake_progress import FakeProgress, Socket
from .test_browser_modules import leave, line, snapshot, stay, update, wait_until

#: Where each task stands, so that a number on the page tells whose it is.
CURRENT = {"t": 3, "u": 7}
CONTENT = (
    '<p part="message">m</p><span part="count">c</span><span part="connection"></span>'
    '<div part="bar" role="progressbar"><svg><rect part="fill" width="9%"></rect></svg></div>'
    '<ol part="log"></ol><ol part="steps"></ol><p part="error" hidden></p><p part="announce" role="status"></p>'
)
#: The task's own bar: steps have theirs.
BAR = "[part=bar][role=progressbar]"

#: As htmx's, Turbo's and other morphs do it: attributes become those of the new text, children one after the other.
MORPH = """
window.morph = (old, text) => {
  const into = (old, fresh) => {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const held = [...old.childNodes], wanted = [...fresh.childNodes];
    wanted.forEach((one, i) => {
      if (!held[i]) old.append(one);
      else if (held[i].nodeName !== one.nodeName) held[i].replaceWith(one);
      else if (one.nodeType === 1) into(held[i], one);
      else if (held[i].nodeValue !== one.nodeValue) held[i].nodeValue = one.nodeValue;
    });
    held.slice(wanted.length).forEach((one) => one.remove());
  };
  const page = new DOMParser().parseFromString(text, "text/html");
  into(old, page.querySelector("task-progress"));
};
"""


class Sockets:
    """A server of two tasks: which sockets are open, and what was subscribed to on the list's."""

    def __init__(self, fake: FakeProgress) -> None:
        self.opened: list[str] = []
        self.open: list[str] = []
        fake.scenes = [self._play]

    def _play(self, socket: Socket) -> None:
        path = socket.path.partition("?")[0].removesuffix("/")
        name = path.rpartition("/")[2]
        self.opened.append(name)
        self.open.append(name)
        try:
            if name == "progress":  # the list
                while True:
                    frame = socket.hear(timeout=30)
                    for one in frame.get("task_ids", []):
                        if frame["type"] == "subscribe":
                            self.open.append(f"list:{one}")
                            socket.say(self._of(one))
                        else:
                            self.open.remove(f"list:{one}")
            socket.say(self._of(name))
            socket.wait_closed()
        finally:
            self.open.remove(name)

    @staticmethod
    def _of(task_id: str) -> dict[str, Any]:
        frame = snapshot(4, task_id=task_id, current=CURRENT[task_id], log=[line(1)])
        frame["task"] |= {"message": f"this is {task_id}", "id": task_id}
        frame["task"]["steps"] = [{"name": f"step of {task_id}", "state": "running", "depth": 0}]
        return frame


def put(tab: Page, fake: FakeProgress, *attributes: str, content: str = CONTENT) -> None:
    """An element in a page that has the module already, as `#it` inside `#here`, beside `#there`."""
    tab.evaluate(
        """async ([html, morph]) => {
            (0, eval)(morph);
            await import("/progress/task-progress.js");
            document.body.innerHTML = html;
        }""",
        [f"<div id=here>{element(fake, *attributes, content=content)}</div><div id=there></div>", MORPH],
    )


def element(fake: FakeProgress, *attributes: str, content: str = CONTENT) -> str:
    words = " ".join(attributes)
    socket = "" if "socket=" in words else f'socket="{fake.sockets_url}"'
    return f'<task-progress id="it" {socket} {words}>{content}</task-progress>'


def expect_shown(tab: Page, task_id: str) -> None:
    it = tab.locator("#it")
    expect(it.locator("[part=message]")).to_have_text(f"this is {task_id}")
    expect(it.locator("[part=count]")).to_have_text(f"{CURRENT[task_id]} / 10")
    expect(it.locator(BAR)).to_have_attribute("aria-valuenow", str(CURRENT[task_id] * 10))
    expect(it.locator("[part=log] li")).to_have_count(1)
    expect(it.locator("[part=steps] li")).to_contain_text([f"step of {task_id}"])
    expect(it).to_have_attribute("connection", "live")


def expect_clear(tab: Page) -> None:
    it = tab.locator("#it")
    for part in ("message", "count", "connection", "announce", "error"):
        expect(it.locator(f"[part={part}]")).to_have_text("")
    expect(it.locator("[part=log] li, [part=steps] li")).to_have_count(0)
    for attribute in ("state", "ended", "connection", "indeterminate"):
        assert it.get_attribute(attribute) is None, attribute
    assert it.locator(BAR).get_attribute("aria-valuenow") is None


ELEMENT = "document.getElementById('it')"
#: Each change of an element that shows t, and which sockets are open after it. `{html}` is the element for u.
CHANGES = {
    "another id": (f"{ELEMENT}.setAttribute('task-id', 'u')", "u", ["u"]),
    "another id, and its address": (
        f"{ELEMENT}.setAttribute('task-id', 'u'), {ELEMENT}.setAttribute('src', '/api/tasks/u/')",
        "u",
        ["u"],
    ),
    "there and back": (f"{ELEMENT}.setAttribute('task-id', 'u'), {ELEMENT}.setAttribute('task-id', 't')", "t", ["t"]),
    "another id while it is away": (
        f"{{ const it = {ELEMENT}; it.remove(); it.setAttribute('task-id', 'u'); document.body.append(it) }}",
        "u",
        ["u"],
    ),
    "onto the list's socket": (f"{ELEMENT}.toggleAttribute('shared', true)", "t", ["progress", "list:t"]),
    "another src": (f"{ELEMENT}.setAttribute('src', '/api/tasks/t/?x')", "t", ["t"]),
    "another socket": (
        f"{ELEMENT}.setAttribute('socket', {ELEMENT}.getAttribute('socket').replace('127.0.0.1', 'localhost'))",
        "t",
        ["t"],
    ),
    "morphed into another one": (f"morph({ELEMENT}, `{{html}}`)", "u", ["u"]),
    "morphed as it is": (f"morph({ELEMENT}, `{{same}}`)", "t", ["t"]),
    "morphed into other content": (f"morph({ELEMENT}, `{{other}}`)", "u", ["u"]),
    "replaced": (f"{ELEMENT}.outerHTML = `{{html}}`", "u", ["u"]),
    "its parts replaced": (f"{ELEMENT}.innerHTML = `{{content}}`", "t", ["t"]),
    "moved": (f"document.getElementById('there').append({ELEMENT})", "t", ["t"]),
    "moved with its state": (f"document.getElementById('there').moveBefore({ELEMENT}, null)", "t", ["t"]),
    "taken out and put back later": (
        f"new Promise((done) => {{ const it = {ELEMENT}; it.remove();"
        " setTimeout(() => done(document.body.append(it)), 300) })",
        "t",
        ["t"],
    ),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_change_of_the_element_is_followed(tab, fake, how):
    change, then, left_open = CHANGES[how]
    sockets = Sockets(fake)
    put(tab, fake, 'task-id="t"')
    expect_shown(tab, "t")
    other = CONTENT.replace('<p part="message">m</p>', '<em part="message">m</em><b part="percent"></b>')
    for name, text in (
        ("{html}", element(fake, 'task-id="u"', 'state="PENDING"')),
        ("{same}", element(fake, 'task-id="t"', 'state="PENDING"')),
        ("{other}", element(fake, 'task-id="u"', content=other)),
        ("{content}", CONTENT),
    ):
        change = change.replace(name, text)
    tab.evaluate(f"{change}; 0" if "Promise" not in change else change)
    expect_shown(tab, then)
    wait_until(lambda: sockets.open == left_open)
    if how in ("moved", "moved with its state", "morphed as it is", "its parts replaced", "there and back"):
        assert sockets.opened == ["t"], "the socket that was there would have done"


@pytest.mark.parametrize("shared", ["", "shared"])
def test_without_an_id_it_waits_for_one_and_shows_nothing(tab, fake, shared):
    sockets = Sockets(fake)
    put(tab, fake, shared)
    tab.wait_for_timeout(200)
    assert sockets.opened == []
    tab.evaluate(f"{ELEMENT}.setAttribute('task-id', 't')")
    expect_shown(tab, "t")
    tab.evaluate(f"{ELEMENT}.removeAttribute('task-id')")
    expect_clear(tab)
    wait_until(lambda: not sockets.open)
    tab.evaluate(f"{ELEMENT}.setAttribute('task-id', 'u')")
    expect_shown(tab, "u")
    tab.evaluate(f"{ELEMENT}.setAttribute('task-id', '')")
    expect_clear(tab)


def test_what_was_shown_of_one_task_is_gone_before_the_first_word_of_the_next(tab, fake):
    fake.scenes = [stay(Sockets._of("t")), stay()]
    put(tab, fake, 'task-id="t"')
    expect_shown(tab, "t")
    assert tab.evaluate(
        f"""async () => {{
            const it = {ELEMENT};
            it.setAttribute("task-id", "u");
            await null;
            const parts = [...it.querySelectorAll("[part]")];
            const said = parts.map((part) => part.textContent.trim()).join("");
            return [said, it.getAttribute("state"), it.task];
        }}"""
    ) == ["", None, None]


def test_a_new_element_with_a_seed_shows_it_and_one_of_another_task_does_not(tab, fake):
    fake.scenes = [stay()]
    seed = '<script type="application/json">{"id": "t", "name": "a.job", "state": "STARTED", "attempt": 1, \
"current": 3, "total": 10, "percent": 30, "message": "from the page"}</script>'
    put(tab, fake, 'task-id="t"', content=seed + CONTENT)
    message = tab.locator("#it [part=message]")
    expect(message).to_have_text("from the page")
    tab.evaluate(f"{ELEMENT}.setAttribute('task-id', 'u')")
    expect(message).to_have_text("")
    fresh = element(fake, 'task-id="t"', content=seed + CONTENT)
    tab.evaluate(f"morph({ELEMENT}, `{fresh}`)")
    expect(message).to_have_text("from the page")


def test_content_of_its_own_is_made_once_however_often_it_moves(tab, fake):
    Sockets(fake)
    put(tab, fake, 'task-id="t"', content="")
    tab.evaluate(f"for (let i = 0; i < 5; i++) document.getElementById('there').append({ELEMENT})")
    expect(tab.locator(BAR)).to_have_attribute("aria-valuenow", "30")
    expect(tab.locator(BAR)).to_have_count(1)


def test_a_large_result_that_arrives_after_a_change_of_the_parts_and_before_it_is_painted_is_fetched(tab, fake):
    go = threading.Event()

    def scene(socket: Socket) -> None:
        socket.say(Sockets._of("t"))
        go.wait(15)
        socket.say(update(5, state="SUCCESS") | {"result": None, "result_omitted": True})
        socket.wait_closed()

    fake.scenes = [scene]
    put(tab, fake, 'task-id="t"', content=f'{CONTENT}<pre part="result"></pre>')
    expect_shown(tab, "t")
    fake.polled = {"task": {"id": "t", "result": "a large one"}}
    ended = tab.evaluate_handle(
        f"""() => {{
            const it = {ELEMENT}, paint = window.requestAnimationFrame;
            let held = [];
            window.requestAnimationFrame = (todo) => held.push(todo);
            it.append(Object.assign(document.createElement("span"), {{ innerHTML: '<b part="percent"></b>' }}));
            const ended = new Promise((done) => {{
                it.addEventListener("end", () => done("ended"), {{ once: true }});
                setTimeout(() => done("nothing came"), 10_000);
            }});
            window.paintAgain = () => {{
                window.requestAnimationFrame = paint;
                for (const todo of held) paint(todo);
            }};
            return {{ ended }};
        }}"""
    )
    go.set()
    assert ended.evaluate("({ ended }) => ended") == "ended"
    tab.evaluate("paintAgain()")
    expect(tab.locator("#it [part=result]")).to_contain_text("a large one")


# --- signed out -------------------------------------------------------------------------------------------------------

LOGIN = {"error": "Log in first.", "login": "/login/"}
#: What a page that was made for somebody who was signed in hears once they are not: the scene, the poll.
SIGNED_OUT = {
    "while polling": (leave(4001), (401, LOGIN)),
    "at the socket": (leave(4404, snapshot(3)), (401, LOGIN)),
    "at the socket, where visitors need no account": (leave(4404, snapshot(3)), (404, LOGIN)),
    "by a redirect to the login page": (leave(4001), (302, {"Location": "/login.html"})),
}


@pytest.mark.parametrize("shared", ["", "shared"])
@pytest.mark.parametrize("how", SIGNED_OUT)
def test_who_is_signed_out_is_told_so_with_a_way_back_and_nothing_is_asked_any_more(tab, fake, how, shared):
    scene, fake.polled = SIGNED_OUT[how]
    fake.scenes = [scene]
    put(tab, fake, 'task-id="t"', "signed-in", shared)
    it = tab.locator("#it")
    expect(it.locator("[part=connection]")).to_have_text("You are signed out. Log in")
    expect(it).to_have_attribute("connection", "signed-out")
    expect(it.get_by_role("status")).to_have_text("You are signed out.")
    link = it.get_by_role("link", name="Log in")
    expect(link).to_have_attribute("href", re.compile(r"^http://127\.0\.0\.1:\d+/login(/|\.html)\?next=%2F$"))
    asked = len(fake.polls), len(fake.paths)
    tab.wait_for_timeout(1_500)
    assert (len(fake.polls), len(fake.paths)) == asked


@pytest.mark.parametrize("shared", ["", "shared"])
def test_a_list_that_is_refused_one_task_after_the_other_asks_over_http_who_is_there(tab, fake, shared):
    def scene(socket: Socket) -> None:
        frame = socket.hear()
        for one in frame["task_ids"]:
            socket.say({"v": 1, "type": "error", "code": "not_found", "message": "no", "task_id": one})
        socket.wait_closed()

    fake.polled = (401, LOGIN) if shared else 404
    fake.scenes = [scene]
    put(tab, fake, 'task-id="t"', "shared", "signed-in")
    said = "You are signed out. Log in" if shared else "not available"
    expect(tab.locator("#it [part=connection]")).to_have_text(said)


@pytest.mark.parametrize("answer", [403, 404, 410])
def test_what_is_gone_is_not_live_and_not_asked_for_any_more(tab, fake, answer):
    fake.polled = (answer, LOGIN)  # nobody was signed in here: that they may log in says nothing
    fake.scenes = [leave(4404, snapshot(3, current=3))]
    put(tab, fake, 'task-id="t"')
    it = tab.locator("#it")
    expect(it.locator("[part=connection]")).to_have_text("This run is not there any more.")
    expect(it).to_have_attribute("connection", "gone")
    asked = len(fake.polls), len(fake.paths)
    tab.wait_for_timeout(1_200)
    assert (len(fake.polls), len(fake.paths)) == asked
