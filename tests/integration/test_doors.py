"""Every address and every command of a socket, tried by everybody. A new one without a row here fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from progress.client_frames import CLIENT_FRAMES
from progress.routing import websocket_urlpatterns
from tasks.models import State, TaskRun
from tasks.web.feeds import _FEEDS
from tests.downloads import DOWNLOADS

from .people import signed_in, started
from .sockets import HOST, Tab, make_hub

pytestmark = pytest.mark.slow

hub = pytest.fixture(make_hub)

PEOPLE = ("owner", "stranger", "staff", "signed out", "deactivated", "other origin")


@pytest.fixture(autouse=True)
def site(settings):
    """A site in the open, as ALLOWED_HOSTS makes it, but for https."""
    settings.TASKS_REQUIRE_LOGIN = True
    settings.PRODUCTION = True


class Scene:
    """A run of the owner, and everybody's browser."""

    def __init__(self) -> None:
        self.clients = {name: signed_in(name.replace(" ", "-")) for name in ("owner", "stranger", "deactivated")}
        self.clients["staff"] = signed_in("staff", is_staff=True)
        self.clients["signed out"] = Client()
        self.clients["other origin"] = Client(enforce_csrf_checks=True, headers={"Origin": "http://localhost:9999"})
        self.clients["other origin"].cookies = self.clients["owner"].cookies
        self.clients["owner"].get("/")
        self.run = started(self.clients["owner"])
        self.group = Group.objects.create(name="some")
        self.user = get_user_model().objects.get(username="owner")
        get_user_model().objects.filter(username="deactivated").update(is_active=False)

    def cookie(self, person: str) -> str:
        cookie = self.clients[person].cookies.get("sessionid")
        return str(cookie.value) if cookie else ""

    def end(self) -> None:
        """The run has ended."""
        TaskRun.objects.filter(pk=self.run).update(state=State.SUCCESS, finished_at=timezone.now())

    def state(self) -> list[Any]:
        """What a request may change."""
        columns = ("pk", "state", "cancel_requested_at", "owner_id")
        return [*TaskRun.objects.order_by("pk").values_list(*columns), get_user_model().objects.count()]


def addresses(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from addresses(one, prefix + str(one.pattern))
        elif isinstance(one, URLPattern):
            yield prefix + str(one.pattern)


Prepare = Callable[[Scene], object]
#: The doors of report downloads, where the site has them.
MORE: Any = import_module("tests.integration.download_doors") if DOWNLOADS else None
RUN = "<task_id:task_id>"
#: The admin's pages of users, and of those apps that have some.
USER = get_user_model()._meta.label_lower.replace(".", "/")
APPS = next(address for address in addresses(get_resolver()) if "app_label" in address)
NOBODY_MAY = "404 404 404 404 404 404"
FOR_EVERYBODY = "200 200 200 200 200 200"
FOR_THE_SIGNED_IN = "200 200 200 302 302 200"
#: Who is not staff is sent to the login; staff without a permission is told so.
ADMIN = "302 302 403 302 302 302"

#: Method and address → what each of `PEOPLE` is answered. "!" where something was changed by it.
#: What a page of another origin GETs, it cannot read: the browser does not let it.
TABLE: dict[tuple[str, str], str] = {
    ("GET", ""): FOR_THE_SIGNED_IN,
    ("GET", "api/status/"): "200 200 200 401 401 200",
    ("GET", "api/runs/"): "200 200 200 401 401 200",
    ("GET", "api/runs/newest/"): "403 403 200 401 401 403",
    ("GET", f"api/tasks/{RUN}/"): "200 404 200 401 401 200",
    ("GET", "runs/"): "302 302 200 302 302 302",
    ("POST", "runs/"): "302 302 302! 302 302 403",
    ("GET", "runs/failures/"): "302 302 200 302 302 302",
    ("POST", "runs/failures/"): "302 302 400 302 302 403",
    ("GET", "runs/now/"): "302 302 200 302 302 302",
    ("GET", "api/now/"): "403 403 200 401 401 403",
    ("GET", "schedules/"): "302 302 200 302 302 302",
    ("POST", "schedules/"): "302 302 302! 302 302 403",
    ("POST", "tasks/start/"): "302! 302! 302! 302 302 403",
    ("GET", f"tasks/{RUN}/"): "200 404 200 302 302 200",
    ("POST", f"tasks/{RUN}/cancel/"): "302! 404 302! 302 302 403",
    ("POST", f"tasks/{RUN}/retry/"): "302! 404 302! 302 302 403",
    ("POST", f"tasks/{RUN}/kill/"): "404 404 404 302 302 403",  # this is no development
    **(MORE.TABLE if MORE else {}),
    ("GET", "login/"): FOR_EVERYBODY,
    ("POST", "login/"): "200 200 200 200 200 403",
    ("POST", "logout/"): "302 302 302 302 302 403",
    ("GET", "health/live"): FOR_EVERYBODY,
    ("GET", "health/ready"): "503 503 503 503 503 503",  # there is no Redis here
    ("GET", "metrics"): NOBODY_MAY,
    # --- Django's admin
    ("GET", "admin/"): "302 302 200 302 302 302",
    ("GET", "admin/login/"): "200 200 302 200 200 200",
    ("POST", "admin/logout/"): "302 302 302 302 302 403",
    ("GET", "admin/password_change/"): "302 302 200 302 302 302",
    ("GET", "admin/password_change/done/"): "302 302 200 302 302 302",
    ("GET", "admin/autocomplete/"): ADMIN,
    ("GET", "admin/jsi18n/"): "302 302 200 302 302 302",
    ("GET", "admin/r/<path:content_type_id>/<path:object_id>/"): "302 302 404 302 302 302",
    ("GET", APPS): "302 302 404 302 302 302",
    ("GET", "admin/(?P<url>.*)$"): "302 302 404 302 302 302",
    ("GET", f"admin/{USER}/<id>/password/"): ADMIN,
    **{
        ("GET", f"admin/{model}/{page}"): ADMIN
        for model in ("auth/group", USER, "tasks/taskrun")
        for page in (
            *("", "add/"),
            *(f"<path:object_id>/{page}/" for page in ("history", "delete", "change")),
        )
    },
    **{
        ("GET", f"admin/{model}/<path:object_id>/"): "302 302 302 302 302 302"  # to …/change/
        for model in ("auth/group", USER, "tasks/taskrun")
    },
}

#: What stands in the place of an address's parts, where it is not the run.
PARTS = {
    **(MORE.PARTS if MORE else {}),
    "<path:content_type_id>": "1",
    APPS.removeprefix("admin/"): "auth/",
    "(?P<url>.*)$": "nothing/",
}
FORMS: dict[str, dict[str, str]] = {
    "runs/": {"action": "cancel", "confirmed": "1"},
    "schedules/": {"action": "run", "entry": "prune-ended-runs"},
    "tasks/start/": {"steps": "1", "delay": "0"},
    **(MORE.FORMS if MORE else {}),
    "login/": {"username": "owner", "password": "wrong"},
}
PREPARE: dict[str, Prepare] = {
    f"tasks/{RUN}/retry/": Scene.end,
    **(MORE.PREPARE if MORE else {}),
}


async def read(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


def test_every_address_has_a_row():
    assert set(addresses(get_resolver())) == {address for _, address in TABLE}


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "address"), TABLE)
def test_each_address_answers_each_person_as_the_table_says(method, address):
    scene = Scene()
    PREPARE.get(address, lambda scene: None)(scene)
    objects = {"auth/group": str(scene.group.pk), USER: str(scene.user.pk)}
    object_id = next((pk for name, pk in objects.items() if f"{name}/" in address), scene.run)
    parts = {RUN: scene.run, "<path:object_id>": object_id, "<id>": str(scene.user.pk), **PARTS}
    path = address
    for part, value in parts.items():
        path = path.replace(part, value)
    answers = []
    for person in PEOPLE:
        TaskRun.objects.exclude(pk=scene.run).delete()
        TaskRun.objects.filter(pk=scene.run, state=State.REVOKED).update(state=State.PENDING, finished_at=None)
        before = scene.state()
        form = {**FORMS.get(address, {}), "run": scene.run}
        client = scene.clients[person]
        answer = client.get(f"/{path}") if method == "GET" else client.post(f"/{path}", form)
        answers.append(f"{answer.status_code}{'!' if scene.state() != before else ''}")
        assert not answer.headers.get("Access-Control-Allow-Origin")
        if answer.streaming:
            assert async_to_sync(read)(answer) == b"a,b\r\n"
    assert " ".join(answers) == TABLE[method, address]


@pytest.mark.django_db
def test_what_is_posted_cannot_be_had_by_a_link():
    owner = Scene().clients["owner"]
    run = TaskRun.objects.get().pk
    for address in (
        one for method, one in TABLE if method == "POST" and ("GET", one) not in TABLE and "admin" not in one
    ):
        assert owner.get(f"/{address.replace(RUN, run)}").status_code == 405, address


# --- sockets ----------------------------------------------------------------------------------------------------------

SHUT = "4404 4404 403"

#: Socket → what comes of its handshake.
SOCKETS: dict[str, str] = {
    "ws/progress/": f"open open open {SHUT}",
    "ws/progress/<str:task_id>/": f"snapshot 4404 snapshot {SHUT}",
}
#: Type → what comes of it on a list, for the owner's run.
COMMANDS: dict[str, str] = {
    "subscribe": f"snapshot not_found snapshot {SHUT}",
    "unsubscribe": f"nothing nothing nothing {SHUT}",
    "resync": f"snapshot bad_frame snapshot {SHUT}",
    "cancel": f"obeyed bad_frame obeyed {SHUT}",
    "pong": f"nothing nothing nothing {SHUT}",
}
#: Feed → whether it tells.
FEEDS: dict[str, str] = {
    "mine": f"feed feed feed {SHUT}",
    "status": f"feed feed feed {SHUT}",
    "newest": f"bad_frame bad_frame feed {SHUT}",
    "unknown": f"bad_frame bad_frame bad_frame {SHUT}",
}


def test_every_socket_command_and_feed_has_a_row():
    assert {str(one.pattern) for one in websocket_urlpatterns} == set(SOCKETS)
    assert set(CLIENT_FRAMES) == set(COMMANDS)
    assert set(_FEEDS) == set(FEEDS) - {"unknown"}


async def outcomes(scene: Scene, ask: Callable[[Tab], Any], *, alone: bool = False) -> str:
    """What comes of `ask` for each person, in a word."""
    said = []
    for person in PEOPLE:
        headers = {"origin": "http://localhost:9999" if person == "other origin" else f"http://{HOST}"}
        tab = Tab(scene.cookie(person), scene.run if alone else None, headers=headers)
        await tab.until(lambda tab=tab: tab.accepted or tab.code is not None)  # type: ignore[misc]
        word = await ask(tab) if tab.accepted else "403"
        said.append(str(tab.code or word) if tab.accepted else word)
        await tab.drop()
    return " ".join(said)


async def answer(tab: Tab) -> str:
    """The first frame, or that nothing comes: what was sent before an unknown type is answered before it is."""
    told = len(tab.frames)
    tab.send({"type": "nonsense"})
    await tab.until(lambda: len(tab.frames) > told or tab.code is not None)
    if tab.code is not None:
        return str(tab.code)
    frame = tab.frames[told]
    if frame["type"] == "error" and "type must be" in frame["message"]:
        return "nothing"
    return str(frame["code"] if frame["type"] == "error" else frame["type"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", SOCKETS)
async def test_each_socket_opens_for_whom_the_table_says(hub, address):
    scene = await asyncio.to_thread(Scene)

    async def ask(tab: Tab) -> str:
        said = await answer(tab)
        first = tab.frames[0]["type"] if tab.frames else said
        return "open" if first == "error" else first

    assert await outcomes(scene, ask, alone="task_id" in address) == SOCKETS[address]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", COMMANDS)
async def test_each_command_is_obeyed_for_whom_the_table_says(hub, command):
    scene = await asyncio.to_thread(Scene)

    async def ask(tab: Tab) -> str:
        if command != "subscribe":
            tab.subscribe(scene.run)
            await tab.until(lambda: tab.frames or tab.code is not None)
            if tab.code is not None:
                return str(tab.code)
        frame: dict[str, Any] = {"type": command}
        frame |= {"task_ids": [scene.run]} if "subscribe" in command else {"task_id": scene.run}
        tab.send({"type": "pong", "seq": 1} if command == "pong" else frame)
        said = await answer(tab)
        changed = TaskRun.objects.filter(pk=scene.run, state=State.REVOKED)
        if await changed.aupdate(state=State.PENDING, finished_at=None):
            return "obeyed"
        return said

    assert await outcomes(scene, ask) == COMMANDS[command]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("feed", FEEDS)
async def test_each_feed_tells_whom_the_table_says(hub, feed):
    scene = await asyncio.to_thread(Scene)
    heard = []

    async def ask(tab: Tab) -> str:
        tab.subscribe(feeds=(feed,))
        said = await answer(tab)
        heard.append(scene.run in str(tab.frames))
        return said

    assert await outcomes(scene, ask) == FEEDS[feed]
    hears = {"mine": "owner", "newest": "staff"}.get(feed)  # of the run
    assert heard == [person == hears for person in PEOPLE[: len(heard)]]
