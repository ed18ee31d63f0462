"""`python -m progress.watch <address or task id>`: the bar of any task, in a terminal.

With the address of a task (its page, its snapshot or its socket) it is a viewer like a browser, and needs the cookie of
somebody who may see it, in the environment (`PROGRESS_COOKIE=5x0…`) or in a file (`--cookie-file`). With a bare id it
reads the record and the database itself, as a shell on the server may: run it beside `manage.py`, or with
DJANGO_SETTINGS_MODULE set.

Ends with 0 when the task succeeded, 1 when it did not, 2 when there is nothing to watch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TextIO
from urllib.parse import urlencode, urlsplit

from .errors import NothingToWatch
from .messages import FINAL_STATES, ID_PATTERN, SOCKETS, CloseCode, TaskState, snapshot
from .terminal import line
from .texts import not_kept, said_state, said_tries
from .view_state import View, apply

#: Seconds without a frame after which a connection counts as dead: two of the server's pings.
SILENCE = 40.0
#: The environment's name for the cookie: a command line can be read by everybody on the machine.
COOKIE = "PROGRESS_COOKIE"
#: Seconds between two looks at the record, and between two at the database.
LOOK_EVERY = 0.1
ASK_EVERY = 1.0


def from_server(address: str, cookie: str) -> Iterator[View]:
    """Every new view of the task at `address`, until its end; comes back when the connection breaks."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
    from websockets.sync.client import ClientConnection, connect
    from websockets.typing import Origin

    def answer(socket: ClientConnection, frame: Mapping[str, object]) -> None:
        with contextlib.suppress(ConnectionClosed):  # what came before the close is still to be read
            socket.send(json.dumps(frame))

    url, origin = socket_of(address)
    headers = {"Cookie": cookie if "=" in cookie else f"sessionid={cookie}"} if cookie else None
    view: View | None = None
    more = False  # the rest of a long log is on its way: whoever comes back now holds nothing
    failures = 0
    while more or not _is_over(view):
        held = urlencode({"epoch": view["epoch"], "seq": view["complete"]}) if view and not more else ""
        try:
            with connect(f"{url}?{held}", origin=Origin(origin), additional_headers=headers, max_size=None) as socket:
                while more or not _is_over(view):
                    frame = json.loads(socket.recv(timeout=SILENCE))
                    failures = 0
                    if frame["type"] == "ping":
                        answer(socket, {"type": "pong", "seq": view["seq"] if view else 0})
                        continue
                    more = bool(frame.get("more"))
                    before, view = view, apply(view, frame)
                    if view is not None and view["resync"]:
                        answer(socket, {"type": "resync", "epoch": view["epoch"], "seq": view["complete"]})
                    elif view is not None and view is not before:
                        yield view
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            if code == CloseCode.NOT_FOUND:
                raise NothingToWatch(f"There is no such task, or it is not yours: set {COOKIE}.") from None
            if 4400 <= code < 5000:
                raise NothingToWatch(f"The server closed the connection with {code}.") from None
        except InvalidHandshake as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if 400 <= status < 500:
                raise NothingToWatch(f"The server refused the connection with {status}.") from None
        except OSError:  # nobody there, or silent for too long
            pass
        failures += 1
        time.sleep(random.uniform(0.05, min(5.0, 0.1 * 2 ** min(failures, 6))))


def socket_of(address: str) -> tuple[str, str]:
    """(the socket's address, the Origin to name) for the address of a task's page, snapshot or socket."""
    parts = urlsplit(address)
    below = re.fullmatch(r"(.*?)/(tasks|api/tasks|ws/progress)/[^/]*/?", parts.path)
    secure = parts.scheme in ("https", "wss")
    task_id = parts.path.rstrip("/").rpartition("/")[2]
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.netloc or not ID_PATTERN.fullmatch(task_id):
        raise NothingToWatch(
            f"Expected the address of a task, such as http://localhost:8001/tasks/<id>/, got {address}."
        )
    url = f"{'wss' if secure else 'ws'}://{parts.netloc}{below[1] if below else ''}{SOCKETS}{task_id}/"
    return url, f"{'https' if secure else 'http'}://{parts.netloc}"


def from_record(task_id: str) -> Iterator[View]:
    """Every new view of the task, read from Redis and the database of the settings, until its end."""
    import redis

    from .held import Held, Since
    from .record import get_record
    from .source import get_source
    from .state import merge

    source, record = get_source(), get_record()
    view: View | None = None
    stored: TaskState | None = None
    ask_at = 0.0
    while not _is_over(view):
        if time.monotonic() >= ask_at:
            ask_at = time.monotonic() + ASK_EVERY
            stored = source.refresh([task_id]).get(task_id)
        if stored is None:
            raise NothingToWatch(f"There is no task {task_id}.")
        held = Held(view["epoch"], view["seq"], recovered=True) if view else Held()
        with contextlib.suppress(redis.RedisError, OSError):  # then what is held is shown; the database tells the end
            held = record.read(task_id, Since(held.epoch, view["complete"] if view else 0))
        state = merge(stored, held.changing or (view["task"] if view else None))
        frame = snapshot(task_id, held.epoch, held.seq, state, held.log, recovered=held.recovered)
        before, view = view, apply(view, frame)
        if view is not None and view != before:
            yield view
        if not _is_over(view):
            time.sleep(LOOK_EVERY)


def _is_over(view: View | None) -> bool:
    return view is not None and view["task"].get("state") in FINAL_STATES


def show(views: Iterator[View], stream: TextIO) -> str:
    """Paint `views` on one line of a terminal, the log above it; elsewhere write log and end only. The last state."""
    erase = "\r\x1b[K" if stream.isatty() else ""
    last = 0
    epoch = ""
    state: TaskState = {}
    for view in views:
        state = view["task"]
        if view["epoch"] != epoch:  # it counts its lines anew
            epoch, last = view["epoch"], 0
        if not last and (lost := not_kept(view["log"])):
            stream.write(f"{erase}({lost})\n")
        for entry in view["log"]:
            if entry["n"] > last:
                stream.write(f"{erase}{entry['text']}\n")
        last = max(last, view["log"][-1]["n"] if view["log"] else 0)
        if erase:
            stream.write(erase + _told(state))
        stream.flush()
    stream.write(f"{erase}{_told(state)}\n")
    stream.flush()
    return str(state.get("state"))


def _told(state: TaskState) -> str:
    waiting, error = state.get("waiting"), state.get("error")
    reason = (waiting or {}).get("hint") or (f"{error['type']}: {error['message']}" if error else "")
    tries = said_tries(state) if state.get("attempt", 0) > 1 else ""
    said = said_state(state) if state.get("missing") else state.get("state", "PENDING")  # scripts read Celery's words
    return "  ".join(part for part in (said, line(state), tries, reason) if part)


def _cookie(path: str | None) -> str:
    """The cookie in that file, else in the environment; "" for none."""
    if path is None:
        return os.environ.get(COOKIE, "").strip()
    try:
        return (sys.stdin.read() if path == "-" else Path(path).read_text()).strip()
    except (OSError, ValueError) as error:
        raise NothingToWatch(f"--cookie-file cannot be read: {error}") from None


def _hide_cookie(task: str, cookie: str) -> NoReturn:
    """Begin again without the cookie on the command line, where everybody on the machine can read it."""
    os.environ[COOKIE] = cookie
    os.execv(sys.executable, [sys.executable, "-m", "progress.watch", "--", task])


def _set_up_django() -> None:
    """Find the settings as `manage.py` here does, unless the environment names them."""
    manage = Path("manage.py")
    if "DJANGO_SETTINGS_MODULE" not in os.environ and manage.exists():
        named = re.search(r"""["']DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)["']""", manage.read_text())
        if named:
            os.environ["DJANGO_SETTINGS_MODULE"] = named[1]
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise NothingToWatch("For a bare id, run this beside manage.py, or give the address of the task's page.")
    import django

    django.setup()


def main(arguments: Sequence[str] | None = None, stream: TextIO | None = None) -> int:
    """The command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m progress.watch", description="Show the bar of a task in a terminal."
    )
    parser.add_argument("task", help="the address of a task's page, or a task id")
    parser.add_argument(
        "--cookie-file",
        help="has the cookie of somebody who may see it (the value of `sessionid`, or a whole Cookie header); - is the "
        f"standard input. Without it {COOKIE} is read",
    )
    parser.add_argument("--cookie", help=argparse.SUPPRESS)  # of before: see `_hide_cookie`
    given = parser.parse_args(arguments)
    if given.cookie is not None and arguments is None:
        _hide_cookie(given.task, given.cookie)
    try:
        if "://" in given.task:
            views = from_server(given.task, given.cookie or _cookie(given.cookie_file))
        else:
            _set_up_django()
            views = from_record(given.task)
        return 0 if show(views, stream or sys.stdout) == "SUCCESS" else 1
    except NothingToWatch as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
