"""Questions to AsyncResult and GroupResult; each answer is a line.

python -m tests.live.celery_questions ours|bare FOLDER [control|odd]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SECONDS = 20


def main(whose: str, folder: Path) -> None:
    """Print the transcript."""
    if whose == "bare":
        from .bare_celery import app
    else:
        import django

        django.setup()
        from django_starter.celery import app
    from celery import chain, chord, group
    from celery.result import AsyncResult, GroupResult

    from . import celery_control_questions, celery_odd_questions
    from .testjobs import asked

    app.loader.import_default_modules()

    def ask(question: str, answer: Callable[[], Any]) -> None:
        try:
            said = repr(answer())
        except Exception as error:
            cause = f" from {error.__cause__!r}" if type(error.__cause__).__name__ != "_RemoteTraceback" else ""
            cause = "" if error.__cause__ is None else cause
            said = f"raises {type(error).__module__}.{type(error).__qualname__}{error.args!r}{cause}"
        print(f"{question} => {said}", flush=True)

    def all_of(result: Any) -> Any:
        return (result.state, result.ready(), result.successful(), result.failed())

    def until(result: Any, state: str) -> str:
        end = time.monotonic() + SECONDS
        while result.state != state and time.monotonic() < end:
            time.sleep(0.02)
        return str(result.state)

    others = {"control": celery_control_questions, "odd": celery_odd_questions}
    chosen = sys.argv[3] if len(sys.argv) > 3 else ""
    folder = folder / f"{whose}{chosen}"  # all are asked at once
    folder.mkdir(exist_ok=True)
    if chosen:
        return others[chosen].ask_all(ask, app, folder)
    unknown: Any = AsyncResult("nobody-knows-me")
    ask("unknown", lambda: (all_of(unknown), unknown.result, unknown.info, unknown.traceback, unknown.children))
    ask("unknown, waited for", lambda: unknown.get(timeout=0.3))

    one: Any = asked.add.delay(1, 2)
    ask("a value", lambda: one.get(timeout=SECONDS))
    ask("a value, afterwards", lambda: (all_of(one), one.result, one.info, one.name, one.args, one.kwargs, one.retries))
    ask("a value, its date", lambda: type(one.date_done).__name__)
    ask("a value, its queue", lambda: one.queue)
    ask("a value, its children", lambda: one.children)
    ask("a value, on_message", lambda: asked.add.delay(3, 4).get(timeout=SECONDS, on_message=lambda meta: None))
    ask("sent by its name", lambda: app.send_task("asked.add", (20, 22)).get(timeout=SECONDS))
    ask("ignored", lambda: ((r := asked.silent.delay()).ignored, r.get(timeout=SECONDS)))
    ask("callback of get", lambda: asked.add.delay(1, 1).get(timeout=SECONDS, callback=lambda task_id, value: None))

    gate = folder / f"gate-{whose}"
    told: Any = asked.told.delay(str(gate))
    ask("told, while it runs", lambda: (until(told, "IMPORTING"), told.info, told.ready()))
    ask("told, waited for too short", lambda: told.get(timeout=0.2))
    gate.touch()
    ask("told, afterwards", lambda: (told.get(timeout=SECONDS), told.state, told.info))

    for name in ("fail", "missing", "own", "two_parts", "rejects"):
        result: Any = getattr(asked, name).delay()
        ask(f"{name}", partial(result.get, timeout=SECONDS))
        ask(f"{name}, afterwards", partial(all_of, result))
    failed: Any = asked.fail.delay()
    ask("fail, not raised", lambda: failed.get(timeout=SECONDS, propagate=False))
    ask("fail, its traceback", lambda: "ValueError" in failed.traceback)
    ask("fail, maybe_throw", lambda: failed.maybe_throw())
    ask("requeues", lambda: asked.requeues.delay().get(timeout=SECONDS))
    ask("ignores", lambda: asked.ignores.delay().get(timeout=1))
    ask("retries", lambda: asked.retries.delay().get(timeout=SECONDS))

    for kind in ("task", "chain", "group", "chord", "failure"):
        other: Any = asked.replaced.delay(kind)
        ask(f"replaced by a {kind}", partial(other.get, timeout=SECONDS))
    ask("replaced in a chain", lambda: chain(asked.replaced.s("task"), asked.add.s(5))().get(timeout=SECONDS))

    started: Any = asked.starts.delay()
    ask("returns a result", lambda: AsyncResult(started.get(timeout=SECONDS)[0][0]).get(timeout=SECONDS))
    ask("its children", lambda: [child.get(timeout=SECONDS) for child in started.children])

    links: Any = chain(asked.add.s(1, 1), asked.add.s(2), asked.add.s(3))()
    ask("a chain", lambda: (links.get(timeout=SECONDS), links.parent.get(), links.parent.parent.get()))
    broken: Any = chain(asked.add.s(1, 1), asked.fail.s(), asked.add.s(3))()
    ask("a broken chain", lambda: broken.get(timeout=SECONDS))
    ask("a broken chain, its tail", lambda: AsyncResult(broken.id).get(timeout=SECONDS))

    parts: Any = group(asked.add.s(n, n) for n in range(4))()
    ask("a group", lambda: parts.get(timeout=SECONDS))
    ask("a group, afterwards", lambda: (parts.ready(), parts.successful(), parts.failed(), parts.completed_count()))
    parts.save()
    ask("a group, restored", lambda: GroupResult.restore(parts.id).get(timeout=SECONDS))
    ask("a group, join_native", lambda: parts.join_native(timeout=SECONDS))
    ask("a group, iter_native", lambda: sorted(meta["result"] for _, meta in parts.iter_native(timeout=SECONDS)))
    ask("a group, deleted", lambda: (parts.delete(), GroupResult.restore(parts.id)))
    mixed: Any = group(asked.add.s(1, 1), asked.fail.s())()
    ask("a group with a failure", lambda: mixed.get(timeout=SECONDS))
    ask("a group with a failure, not raised", lambda: mixed.get(timeout=SECONDS, propagate=False))

    ask("a chord", lambda: chord(asked.add.s(n, n) for n in range(4))(asked.total.s()).get(timeout=SECONDS))
    ask(
        "a chord in a chain",
        lambda: (group(asked.add.s(1, 1), asked.add.s(2, 2)) | asked.total.s() | asked.add.s(1))().get(timeout=SECONDS),
    )
    bad: Any = chord([asked.add.s(1, 1), asked.fail.s()])(asked.total.s())
    ask("a chord with a failure", lambda: bad.get(timeout=SECONDS))
    ask("a chord with a failure, by its id alone", lambda: AsyncResult(bad.id).get(timeout=SECONDS))
    ask("map", lambda: asked.total.map([[1, 2], [3, 4]]).delay().get(timeout=SECONDS))
    ask("starmap", lambda: asked.add.starmap([(1, 2), (3, 4)]).delay().get(timeout=SECONDS))
    ask("chunks", lambda: asked.add.chunks([(1, 2), (3, 4), (5, 6)], 2)().get(timeout=SECONDS))

    frozen = asked.add.s(4, 5)
    known = frozen.freeze()
    ask("frozen", lambda: (frozen.delay().id == known.id, known.get(timeout=SECONDS)))
    ask("frozen, called again", lambda: (frozen.delay().id == known.id, AsyncResult(known.id).get(timeout=SECONDS)))
    one.forget()
    ask("forgotten", lambda: AsyncResult(one.id).state)
    late: Any = asked.add.apply_async((1, 1), countdown=3)
    late.revoke()
    ask("revoked", lambda: late.get(timeout=SECONDS))
    ask("revoked, afterwards", lambda: (all_of(late), late.result))
    nothing: Any = object()
    ask("no JSON", lambda: asked.add.delay(nothing, 1).id)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
