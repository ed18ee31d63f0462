"""A real server under attack: foreign pages and sessions, frames and bodies of the wrong kind, and too much of all."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed

from tests.waiting import wait_until

from .stack import Stack
from .visitor import Visitor
from .watcher import Watcher

LIMIT = 50
SOCKETS = 5


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def site(make_stack, request) -> Iterator[Stack]:
    stack = make_stack({"STARTS_PER_MINUTE": str(LIMIT), "SOCKETS_PER_VISITOR": str(SOCKETS)})
    try:
        yield stack.start(concurrency=2, server=request.param)
    finally:
        stack.close()


@pytest.fixture
def alice(site) -> Iterator[Visitor]:
    visitor = Visitor(site.url, "alice")
    yield visitor
    visitor.close()


@pytest.fixture
def task_id(site, alice) -> Iterator[str]:
    """A task of alice's that runs; one that is not counted as a start."""
    task_id = alice.start_job("nap", 20.0)
    yield task_id
    alice.post(f"/tasks/{task_id}/cancel/")


def talk(site: Stack, text: bytes, timeout: float = 5.0) -> bytes:
    """What the server answers to these very bytes."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=timeout) as plug:
        answer = b""
        with contextlib.suppress(OSError):  # it may hang up, or wait for more
            plug.sendall(text)
        with contextlib.suppress(OSError):
            while part := plug.recv(65536):
                answer += part
        return answer


def is_well(site: Stack) -> bool:
    """The server answers another visitor within a second."""
    bob = Visitor(site.url, "bob", timeout=1)
    try:
        return bob.get("/health/live").status == 200
    finally:
        bob.close()


# --- the socket's door ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "http://localhost.evil.example", "null", "file://"),
        *("http://127.0.0.1:1", "http://127.0.0.1", "https://127.0.0.1:{port}", "http://localhost:{port}"),
    ],
)
def test_a_page_of_another_origin_may_not_open_a_socket(site, alice, task_id, origin):
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in alice.cookies)
    url = f"{site.url.replace('http', 'ws')}/ws/progress/"
    for path in (f"{task_id}/", ""):
        watcher = Watcher(url + path, origin=origin.format(port=site.port), cookies=cookies)
        assert watcher.refused == 403


@pytest.fixture(scope="module")
def accounts(site) -> None:
    """carol, and sarah of the staff."""
    site.shell(
        "from django.contrib.auth import get_user_model; User = get_user_model(); "
        "User.objects.create_user('carol', password='a long password'); "
        "User.objects.create_user('sarah', password='a long password', is_staff=True)"
    )


def signed_in(site: Stack, name: str) -> Visitor:
    visitor = Visitor(site.url, name)
    answer = visitor.post("/login/", {"username": name, "password": "a long password"})
    assert answer.status == 302, answer.text
    return visitor


def test_whoever_has_logged_out_sees_and_does_nothing_more(site, accounts):
    carol = signed_in(site, "carol")
    task_id = carol.start_job("nap", 20.0)
    alone, many = carol.watch(task_id), carol.watch_list(task_id)
    for watcher in (alone, many):
        watcher.wait_snapshot()
    carol.post("/logout/")
    assert (alone.wait_closed(), many.wait_closed()) == (4404, 4404)
    carol.close()
    again = signed_in(site, "carol")
    assert again.task(task_id)["cancel_requested"] is False
    again.post(f"/tasks/{task_id}/cancel/")
    again.close()


def test_whoever_is_staff_no_more_sees_and_does_nothing_more_of_others(site, accounts, task_id, alice):
    sarah = signed_in(site, "sarah")
    alone, many = sarah.watch(task_id), sarah.watch_list(task_id)
    for watcher in (alone, many):
        watcher.wait_snapshot()
    site.shell(
        "from django.contrib.auth import get_user_model; "
        "get_user_model().objects.filter(username='sarah').update(is_staff=False)"
    )
    with contextlib.suppress(ConnectionClosed):  # it may have been noticed meanwhile
        many.send({"type": "cancel", "task_id": task_id})
    assert (alone.wait_closed(), many.wait_closed()) == (4404, 4404)
    assert alice.task(task_id)["cancel_requested"] is False
    sarah.close()


def handshake(site: Stack, path: str, cookies: str = "") -> bytes:
    """What a browser sends to open a socket."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nOrigin: {site.url}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\n{key}Cookie: {cookies}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "subscribe", "task_ids": ["x" * 60] * 60},
        {"type": "subscribe", "feeds": ["status"]},
        {"type": "pong", "seq": 1},
    ],
    ids=["subscribe", "feeds", "pong"],
)
def test_a_flood_of_legal_frames_from_one_that_never_reads_takes_no_memory(site, frame):
    text = json.dumps(frame).encode()
    size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    frames = (b"\x81" + size + bytes(4) + text) * max(1, 60_000 // len(text))
    before = site.web.memory()
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as plug:
        plug.sendall(handshake(site, "/ws/progress/"))
        plug.recv(1024)
        sent = 0
        with contextlib.suppress(OSError):  # it hangs up
            while sent < 60_000_000:
                plug.sendall(frames)
                sent += len(frames)
        grown = site.web.memory() - before
    assert grown < 15_000_000, f"{grown / 1e6:.1f} MB after {sent / 1e6:.1f} MB"
    assert is_well(site)


def figures(site: Stack) -> dict[str, float]:
    """What /metrics says of sockets."""
    text = Visitor(site.url).get("/metrics").text
    lines = (line.split() for line in text.splitlines() if line.startswith("progress_"))
    return {name: float(value) for name, value in lines}


def test_sockets_that_are_dropped_while_they_join_leave_nothing(site, alice, task_id):
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in alice.cookies)

    def drop(number: int) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=5) as plug:
            plug.sendall(handshake(site, f"/ws/progress/{task_id}/", cookies))
            if number % 2:
                plug.recv(1024)

    with ThreadPoolExecutor(SOCKETS) as threads:
        list(threads.map(drop, range(300)))
    nothing = {"progress_sockets": 0, "progress_topics": 0, "progress_subscriptions": 0}
    wait_until(lambda: nothing.items() <= figures(site).items(), 20, lambda: f"nothing is left; {figures(site)}")


def test_a_stolen_id_is_answered_as_an_unknown_one(site, task_id):
    bob = Visitor(site.url, "bob")
    bob.get("/")
    stolen, unknown = bob.watch(task_id), bob.watch("00000000-0000-0000-0000-000000000000")
    assert stolen.wait_closed() == unknown.wait_closed() == 4404
    assert stolen.frames == unknown.frames == []
    watcher = bob.watch_list(task_id)
    refusal = watcher.wait_for(lambda frame: frame["type"] == "error")
    assert (refusal["code"], refusal["task_id"]) == ("not_found", task_id)
    watcher.send({"type": "cancel", "task_id": task_id})
    watcher.wait_for(lambda frame: frame["type"] == "error" and frame["code"] == "bad_frame")
    bob.close()


def test_a_made_up_session_is_nobody(site, task_id):
    cookies = "sessionid=" + "a" * 32
    watcher = Watcher(f"{site.url.replace('http', 'ws')}/ws/progress/{task_id}/", origin=site.url, cookies=cookies)
    assert watcher.wait_closed() == 4404


def test_more_sockets_than_one_may_have_are_closed_with_4429_and_the_place_is_free_again(site, alice, task_id):
    watchers = [alice.watch(task_id) for _ in range(SOCKETS)]
    for watcher in watchers:
        watcher.wait_snapshot()
    assert alice.watch(task_id).wait_closed() == 4429
    watchers[0].close()

    def fits() -> bool:
        watcher = alice.watch(task_id)
        wait_until(lambda: watcher.closed or watcher.frames, 5)
        return not watcher.closed

    wait_until(fits, 10, "a place is free again", every=0.2)


# --- frames -----------------------------------------------------------------------------------------------------------


def test_the_limit_of_what_comes_in_does_not_hold_for_a_long_log_and_a_big_result_that_go_out(site, alice):
    talked, big = alice.start_job("chatter", lines=1000), alice.start_job("huge", 100_000)
    watcher = alice.watch(talked)
    assert watcher.wait_final()["result"] == 1000
    assert watcher.wait_closed() == 1000
    late = alice.watch(talked)
    assert late.wait_final()["result"] == 1000
    for one in (watcher, late):
        assert one.log_texts() == [f"line {number}" for number in range(1, 1001)]
    assert len(alice.watch(big).wait_final()["result"]) == 100_000


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '"text"',
        b"\x00\x01",
        '{"type": "start"}',
        '{"type": "pong", "seq": "x"}',
        '{"type": "resync", "epoch": {"a": 1}}',
        "[" * 4000,
        "x" * 5000,
    ],
)
def test_malformed_frames_get_an_error_and_the_fifth_ends_the_socket(site, alice, task_id, frame):
    watcher = alice.watch(task_id)
    watcher.wait_snapshot()
    for _ in range(5):
        watcher.send(frame)
    assert watcher.wait_closed() == 4400
    assert len(watcher.of_type("error")) == 5
    assert is_well(site)


def test_a_frame_that_is_far_too_big_ends_the_connection_before_it_is_read(site, alice, task_id):
    watcher = alice.watch(task_id)
    watcher.wait_snapshot()
    before = site.web.memory()
    with contextlib.suppress(ConnectionClosed, OSError):  # it may hang up while we are still sending
        watcher.send(json.dumps({"type": "pong", "seq": 0, "x": "x" * 20_000_000}))
    assert watcher.wait_closed() in (1009, 1002, 1006)
    assert is_well(site)
    assert site.web.memory() - before < 15_000_000


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_big_is_413_whatever_it_says_of_its_length(site, alice):
    size = 5 * 1024 * 1024
    head = b"POST /tasks/start/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    told = talk(site, head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    assert told.split(b"\r\n")[0].split()[1] == b"413" or told == b""
    part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    told = talk(site, head + b"Transfer-Encoding: chunked\r\n\r\n" + part * (size // 0x10000) + b"0\r\n\r\n")
    assert told.split(b"\r\n")[0].split()[1] == b"413" or told == b""
    assert is_well(site)


@pytest.mark.parametrize(
    "text",
    [
        b"GET /tasks/%0d%0aSet-Cookie:%20evil=1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /login/?next=/%0d%0aSet-Cookie:%20evil=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: a\r\n Set-Cookie: evil=1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n",
        b"POST /tasks/start/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /admin/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: evil\r\n\r\n",
    ],
)
def test_nothing_of_a_request_becomes_a_header_or_a_link_of_the_answer(site, text):
    answer = talk(site, text)
    head = answer.split(b"\r\n\r\n")[0].lower()
    assert b"set-cookie: evil" not in head
    assert b"evil.example" not in answer.replace(b"/login/?next=", b"")
    assert is_well(site)


def test_no_server_tells_its_name_and_version(site):
    headers = Visitor(site.url).get("/health/live").headers
    assert not headers.get("Server")


# --- too much ---------------------------------------------------------------------------------------------------------


def test_of_a_thousand_starts_the_allowed_ones_run_and_the_rest_is_told_when_to_come_back(site):
    greedy = Visitor(site.url, "greedy", timeout=30)
    greedy.get("/")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in greedy.cookies)
    headers = {"Cookie": cookies, "X-CSRFToken": greedy.cookie("csrftoken") or "", "Accept": "application/json"}
    headers["Content-Type"] = "application/json"
    began = time.monotonic()

    def starts(count: int) -> Counter[int]:
        one = Visitor(site.url, timeout=30)
        answers: Counter[int] = Counter()
        for _ in range(count):
            answer = one.request("POST", "/tasks/start/", b'{"steps": 1, "delay": 0}', headers)
            answers[answer.status] += 1
            assert answer.status != 429 or 1 <= int(answer.headers["Retry-After"]) <= 60
        return answers

    with ThreadPoolExecutor(20) as threads:
        answers = sum(threads.map(starts, [50] * 20), Counter())
        seconds = time.monotonic() - began
    assert set(answers) == {202, 429}
    windows = int(seconds // 60) + 2  # a minute may end while it goes on
    assert LIMIT <= answers[202] <= LIMIT * windows
    assert answers.total() == 1000
    assert is_well(site)


def test_one_that_never_reads_costs_little_and_hurts_nobody(site, alice):
    task_id = alice.start_job("chatter", lines=20_000, delay=0.0005)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in alice.cookies)
    before = site.web.memory()
    slow = [socket.create_connection(("127.0.0.1", site.port), timeout=5) for _ in range(3)]
    for plug in slow:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plug.sendall(handshake(site, f"/ws/progress/{task_id}/", cookies))
    reader = alice.watch(task_id)
    assert reader.wait_final(60)["state"] == "SUCCESS"
    grown = site.web.memory() - before
    for plug in slow:
        plug.close()
    assert grown < 30_000_000, f"{grown / 1e6:.1f} MB for three readers that do not read"


def test_a_production_site_sends_everybody_to_https_and_marks_its_cookies(new_stack):
    stack = new_stack(
        {
            "ALLOWED_HOSTS": "tasks.example.com",
            "SECRET_KEY": "a-secret-key-of-more-than-fifty-characters-1234567890-abc",
            "HASHED_STATIC": "0",
        }
    )
    stack.prepare_database()
    stack.start_web(wait=False)
    host = {"Host": "tasks.example.com"}
    https = {**host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
    visitor = Visitor(stack.url)

    def live() -> bool:
        try:
            return visitor.get("/health/live", host).status == 200
        except OSError:
            return False

    wait_until(live, 30, "the server answers without https where machines ask")
    plain = visitor.get("/", host)
    assert (plain.status, plain.headers["Location"]) == (301, "https://tasks.example.com/")
    answer = visitor.get("/", https)
    assert (answer.status, answer.headers["Location"]) == (302, "/login/?next=/")
    answer = visitor.get("/login/", https)
    assert "max-age=31536000; includeSubDomains" in answer.headers["Strict-Transport-Security"]
    cookie = answer.headers["Set-Cookie"]
    assert "Secure" in cookie
    assert "SameSite=Lax" in cookie
    assert visitor.get("/metrics", https).status == 404
    assert visitor.get("/metrics", host).status == 404
    visitor.close()
