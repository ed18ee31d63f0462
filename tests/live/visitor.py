"""A person with a browser's cookies, who starts tasks and looks at them over plain HTTP."""

from __future__ import annotations

import json as json_module
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any

from .watcher import Watcher


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json_module.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None  # a test wants to see the 302


class Visitor:
    """One cookie jar. Two visitors of the same server are strangers to each other."""

    def __init__(self, base_url: str, name: str = "alice", timeout: float = 10.0) -> None:
        self.name = name
        self.base_url = base_url
        self.cookies = CookieJar()
        self._timeout = timeout
        self._watchers: list[Watcher] = []
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies), _NoRedirect
        )

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, None, headers)

    def post(
        self,
        path: str,
        form: Mapping[str, Any] | None = None,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A form, or a JSON body when `json` is given, with the CSRF token of this visitor."""
        if not self.cookie("csrftoken"):
            self.get("/")
        sent = {"X-CSRFToken": self.cookie("csrftoken") or ""}
        if json is not None:
            body = json_module.dumps(json).encode()
            sent |= {"Content-Type": "application/json", "Accept": "application/json"}
        else:
            body = urllib.parse.urlencode(form or {}).encode()
        return self.request("POST", path, body, {**sent, **(headers or {})})

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any status is an answer; only a server that cannot be reached raises (OSError)."""
        url = urllib.parse.urljoin(self.base_url, path)
        request = urllib.request.Request(url, body, dict(headers or {}), method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.cookies if cookie.name == name), None)

    # --- tasks ----------------------------------------------------------------------------------------------------

    def start_task(self, **json: Any) -> str:
        """What Start Task does: `start_task(steps=20, delay=0.05)` → the task's id."""
        answer = self.post("/tasks/start/", json=json)
        assert answer.status == 202, (answer.status, answer.text[:2000])
        return str(answer.json()["task_id"])

    def start_job(self, name: str, *args: Any, options: Mapping[str, Any] | None = None, **kwargs: Any) -> str:
        """Start one of tests/live/testjobs as this visitor; `options` are those of `apply_async`."""
        answer = self.post(f"/testjobs/{name}/", json={"args": args, "kwargs": kwargs, "options": dict(options or {})})
        assert answer.status == 202, (answer.status, answer.text[:2000])
        return str(answer.json()["task_id"])

    def snapshot(self, task_id: str) -> dict[str, Any]:
        """`{"epoch", "seq", "task"}` of GET /api/tasks/<id>/."""
        answer = self.get(f"/api/tasks/{task_id}/")
        assert answer.status == 200, (answer.status, answer.text[:2000])
        return dict(answer.json())

    def task(self, task_id: str) -> dict[str, Any]:
        """The public state of the task."""
        return dict(self.snapshot(task_id)["task"])

    # --- sockets --------------------------------------------------------------------------------------------------

    def watch(
        self, task_id: str, *, epoch: str | None = None, seq: int | None = None, answer_pings: bool = True
    ) -> Watcher:
        """A WebSocket on one task; with `epoch` and `seq` as a browser that comes back."""
        held = {key: value for key, value in (("epoch", epoch), ("seq", seq)) if value is not None}
        path = f"/ws/progress/{task_id}/" + (f"?{urllib.parse.urlencode(held)}" if held else "")
        return self._watcher(path, answer_pings)

    def watch_list(self, *task_ids: str, answer_pings: bool = True) -> Watcher:
        """The list socket, subscribed to `task_ids`."""
        watcher = self._watcher("/ws/progress/", answer_pings)
        if task_ids:
            watcher.send({"type": "subscribe", "task_ids": list(task_ids)})
        return watcher

    def _watcher(self, path: str, answer_pings: bool) -> Watcher:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
        url = self.base_url.replace("http", "ws", 1) + path
        watcher = Watcher(url, origin=self.base_url, cookies=cookies, answer_pings=answer_pings)
        self._watchers.append(watcher)
        return watcher

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        self._watchers.clear()
        self._opener.close()
