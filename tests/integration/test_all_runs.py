"""The staff's list: what a search finds, what is done to all that match, what was repeated, how long runs wait."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from tasks import runs
from tasks.celery.start import start_of
from tasks.models import State, TaskRun
from tasks.runs import counts
from tasks.runs.bulk import act_on_all
from tasks.runs.search import Filter
from tasks.tasks import act_on_runs, demo_task, long_running_task
from tasks.web import all_runs, feeds
from tasks.web.access import Viewer

from .people import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> Client:
    return signed_in("sarah", is_staff=True)


def made(state: str = State.PENDING, **values: Any) -> TaskRun:
    run = TaskRun.objects.get(pk=demo_task.delay().id)
    if state in (State.SUCCESS, State.FAILURE, State.REVOKED):
        values.setdefault("finished_at", timezone.now())
    TaskRun.objects.filter(pk=run.pk).update(state=state, **values)
    run.refresh_from_db()
    return run


def listed(staff: Client, query: str) -> set[str]:
    return set(re.findall(r'<tr data-run="([^"]+)"', staff.get(f"/runs/?{query}").content.decode())) - {"none"}


def text(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.decode()))


# --- found ------------------------------------------------------------------------------------------------------------

ERROR = {"type": "ShelfError", "message": 'the "shelf" fell down: 50 % größer'}
WORDS = {
    "the error's text": "fell down",
    "its type": "shelferror",
    "a quote in it": '"shelf"',
    "a percent sign": "50 %",
    "a letter beyond ASCII": "größer",
    "an argument": "needle",
    "an argument beyond ASCII": "Zürich",
    "an argument's name": "wanted_city",
    "a number": "4711",
    "the last message": "Row 12",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_search_finds_a_run_by_what_it_was_given_and_what_it_said(staff, name):
    message = {"args": ["needle", 4711], "kwargs": {"wanted_city": "Zürich"}, "options": {}}
    run = made(State.FAILURE, error=ERROR, message=message, progress={"message": "Row 12"})
    other = made(State.SUCCESS)
    found = listed(staff, "q=" + WORDS[name].replace("%", "%25"))
    assert run.pk in found and other.pk not in found


def test_a_search_for_nothing_that_is_there_finds_nothing(staff):
    made(State.FAILURE, error=ERROR)
    assert listed(staff, "q=haystack") == set()


SAVE, LOAD = "KeyError in save (shop/orders.py)", "ValueError in load (shop/stock.py)"
#: What is typed → which of the runs are found.
PLACES = {
    "error:KeyError": {"key", "key too"},
    "error:keyerror": {"key", "key too"},
    "error:orders.py": {"key", "key too"},
    "error:KeyError args:SKU-1": {"key"},
    "args:SKU-1": {"key", "value"},
    "args:SKU-1 error:ValueError": {"value"},
    "args:Zürich": {"done"},
    'args:"two words"': {"done"},
    "queue:mail": {"done"},
    "queue:mai": set(),
    "worker:w7": {"key too"},
    "error:KeyError worker:w7 args:SKU-2": {"key too"},
    "error:KeyError shelf": {"key"},
    "error:KeyError error:save": {"key", "key too"},
    "error:OSError": set(),
    "error:%": set(),
}


@pytest.mark.parametrize("typed", PLACES)
@pytest.mark.parametrize("read", [1_000, 2])
def test_a_word_with_a_place_is_looked_for_there(staff, monkeypatch, typed, read):
    shelf = {"type": "KeyError", "message": "the shelf"}
    message: dict[str, Any] = {"args": ["SKU-1"], "kwargs": {}, "options": {"note": "elsewhere"}}
    values: dict[str, dict[str, Any]] = {
        "key": {"state": State.FAILURE, "fingerprint": SAVE, "message": message, "error": shelf},
        "key too": {"state": State.FAILURE, "fingerprint": SAVE, "message": {**message, "args": ["SKU-2"]}},
        "value": {"state": State.FAILURE, "fingerprint": LOAD, "message": message},
        "done": {"state": State.SUCCESS, "queue": "mail", "message": {**message, "args": ["Zürich", "two words"]}},
    }
    values["key too"]["worker"] = "w7:9:abc"
    names = {made(**one).pk: name for name, one in values.items()}
    monkeypatch.setattr("tasks.runs.search.READ", read)
    found = {names[pk] for pk in listed(staff, urlencode({"q": typed}))}
    if read == 1_000 or "error:" in typed:
        assert found == PLACES[typed]
    else:
        assert found <= PLACES[typed]
    asked = Filter(q=typed)
    assert {names[pk] for pk in asked.find().values_list("pk", flat=True)} == PLACES[typed], "what is done to all"


def test_a_list_is_of_one_group_and_says_so(staff):
    run, other = made(State.FAILURE, fingerprint=SAVE), made(State.FAILURE, fingerprint=LOAD)
    page = staff.get(f"/runs/?{urlencode({'fingerprint': SAVE})}").content
    assert f"Only {SAVE}" in text(page)
    assert run.pk in page.decode() and other.pk not in page.decode()


# --- sorted -----------------------------------------------------------------------------------------------------------


def order(staff: Client, query: str) -> list[str]:
    return re.findall(r'<tr data-run="([^"]+)"', staff.get(f"/runs/?{query}").content.decode())


def test_a_list_is_sorted_by_what_its_columns_say(staff):
    now = timezone.now()

    def ago(**seconds: int) -> dict[str, Any]:
        return {f"{name}_at": now - timedelta(seconds=value) for name, value in seconds.items()}

    names = {
        made(State.SUCCESS, attempt=1, **ago(accepted=900, started=890, finished=10)).pk: "long",
        made(State.SUCCESS, attempt=1, **ago(accepted=800, started=200, finished=195)).pk: "late",
        made(State.SUCCESS, attempt=1, **ago(accepted=700, started=699, finished=5)).pk: "middle",
        made(State.PENDING, **ago(accepted=100)).pk: "waits",
    }
    orders = {
        "": ["waits", "middle", "late", "long"],
        "oldest": ["long", "late", "middle", "waits"],
        "ended": ["middle", "long", "late", "waits"],
        "took": ["long", "middle", "late", "waits"],
        "waited": ["late", "waits", "long", "middle"],
        "nonsense": ["waits", "middle", "late", "long"],
    }
    assert {sort: [names[pk] for pk in order(staff, f"sort={sort}")] for sort in orders} == orders
    assert [names[pk] for pk in order(staff, "sort=took&state=SUCCESS")] == ["long", "middle", "late"]
    page = staff.get("/runs/?sort=took&state=SUCCESS").content.decode()
    assert re.search(r'aria-sort="descending"><a href="[^"]*sort=took', page)
    assert 'name="sort" value="took"' in page, "a filter keeps it"


def test_a_row_says_its_worker_queue_error_and_how_long_it_took_and_waited(staff):
    now = timezone.now()
    times = {"accepted_at": now - timedelta(seconds=90), "started_at": now - timedelta(seconds=20), "finished_at": now}
    where = {"worker": "w7:9:abc", "queue": "mail", "error": ERROR, "fingerprint": SAVE}
    made(State.FAILURE, attempt=1, **where, **times)
    page = staff.get("/runs/").content.decode()
    cells = [text(cell.encode()).strip() for cell in re.findall(r"<td.*?</td>", page, re.DOTALL)]
    wanted = ["mail", "w7", "20.0 s", "1 min 10 s"]
    assert [one for one in cells if one in wanted] == wanted
    assert any(one.startswith("ShelfError : the") for one in cells)


def test_what_waits_for_something_else_waits_for_no_worker():
    waits = made(held=True)
    assert all_runs.waited(waits) == ""
    assert all_runs.waited(made(eta=timezone.now() + timedelta(hours=1))) == ""
    assert all_runs.waited(made(State.RETRY, attempt=2)) == ""
    assert all_runs.waited(made(accepted_at=timezone.now() - timedelta(minutes=2))).startswith("2 min")


# --- repeated ---------------------------------------------------------------------------------------------------------


def test_a_failure_that_was_run_again_says_how_that_ended(staff):
    run = made(State.FAILURE, error=ERROR)
    again = made(State.FAILURE, error=ERROR, retry_of=run.pk)
    last = made(retry_of=again.pk)
    for state, said in ((State.PENDING, "waiting"), (State.STARTED, "running"), (State.SUCCESS, "done")):
        TaskRun.objects.filter(pk=last.pk).update(state=state, finished_at=timezone.now())
        page = staff.get("/runs/").content.decode()
        assert page.count(f"repeated → {said}") == 2
        assert f'href="/tasks/{last.pk}/">repeated' in page
        assert f"repeated → {said}" in staff.get(f"/tasks/{run.pk}/").content.decode()
    assert "repeated" not in staff.get(f"/runs/?q={last.pk}").content.decode()


# --- done to all that match -------------------------------------------------------------------------------------------


def work(run: TaskRun) -> dict[str, int]:
    """As its worker does."""
    action, words, until = cast("tuple[str, dict[str, str], str]", run.args)
    return act_on_all(action, words, until, run.pk)


def ask(staff: Client, query: str, **fields: Any) -> Any:
    return staff.post(f"/runs/?{query}", fields)


@pytest.mark.parametrize(("action", "number"), [("cancel", "Cancel 60 runs?"), ("retry", "Start 7 runs again?")])
def test_what_is_done_to_all_that_match_is_asked_with_its_number_and_is_a_run(staff, action, number):
    waiting = [made().pk for _ in range(60)]
    ended = [made(State.FAILURE, error=ERROR).pk for _ in range(7)]
    other = long_running_task.delay().id
    query = "task=tasks.tasks.demo_task"
    page = ask(staff, query, action=action, all="1")
    assert page.status_code == 200 and number in text(page.content)
    assert "All that match the filter" in text(page.content)
    assert not TaskRun.objects.exclude(cancel_requested_at=None).exists(), "done before it was answered"
    answer = ask(staff, query, action=action, all="1", confirmed="1")
    run = TaskRun.objects.get(name=act_on_runs.name)
    assert answer.status_code == 302 and run.pk in answer["Location"]
    assert run.owner is not None and run.owner.username == "sarah"
    if action == "cancel":  # not behind those that wait in the queue
        assert TaskRun.objects.filter(pk__in=waiting, state=State.REVOKED).count() == 60
    late = made().pk
    result = work(run)
    assert result == {"done": 60 if action == "cancel" else 7, "not": 0}
    untouched = TaskRun.objects.filter(pk__in=[other, late, run.pk], state=State.PENDING)
    assert untouched.count() == 3
    if action == "cancel":
        assert TaskRun.objects.filter(pk__in=waiting, state=State.REVOKED).count() == 60
    else:
        assert TaskRun.objects.filter(retry_of__in=ended).count() == 7
        TaskRun.objects.filter(retry_of__in=ended).update(parent_id=run.pk)  # as a worker notes it
        work(run)
        assert TaskRun.objects.filter(retry_of__in=ended).count() == 7, "begun anew, it started them twice"


def test_what_is_ticked_is_asked_too_and_done_at_once(staff):
    one, two, ended = made(), made(), made(State.FAILURE, error=ERROR)
    ticked = [one.pk, ended.pk]
    page = text(ask(staff, "", action="cancel", run=ticked).content)
    assert "Cancel 1 run?" in page and "1 of 2 not: ended already." in page
    one.refresh_from_db()
    assert one.state == State.PENDING
    answer = staff.post("/runs/", {"action": "cancel", "run": ticked, "confirmed": "1"}, follow=True)
    assert "1 cancelled, 1 not: ended already." in text(answer.content)
    two.refresh_from_db()
    assert two.state == State.PENDING


def test_nothing_is_asked_of_others_and_nonsense_is_refused(staff):
    run = made()
    assert signed_in("bob").post("/runs/", {"action": "cancel", "all": "1", "confirmed": "1"}).status_code == 302
    assert ask(staff, "", action="explode", all="1").status_code == 400
    run.refresh_from_db()
    assert run.state == State.PENDING and not TaskRun.objects.filter(name=act_on_runs.name).exists()


# --- waits ------------------------------------------------------------------------------------------------------------


def waits() -> all_runs.Plot:
    return all_runs._waits(timezone.now())


def test_a_wait_is_counted_from_when_a_run_could_begin():
    now = timezone.now()
    started: dict[str, Any] = {"state": State.STARTED, "attempt": 1, "started_at": now}
    made(**started, accepted_at=now - timedelta(hours=2), freed_at=now - timedelta(seconds=2))  # a chord's body
    made(**started, accepted_at=now - timedelta(hours=2), eta=now - timedelta(seconds=3))
    made(**started, accepted_at=now - timedelta(seconds=1))
    assert waits().note == "longest 3.0 s; none waits now"
    assert waits().top == "2.0 s"


def test_the_oldest_that_waits_now_is_told():
    now = timezone.now()
    made(accepted_at=now - timedelta(hours=9), held=True, after="something")
    made(accepted_at=now - timedelta(hours=8), eta=now + timedelta(hours=1))
    made(accepted_at=now - timedelta(hours=7), freed_at=now - timedelta(minutes=3))
    made(State.RETRY, attempt=1, accepted_at=now - timedelta(hours=6), next_retry_at=now - timedelta(minutes=4))
    assert waits().note == "nobody waited; the oldest waits for 4 min now"


def test_a_held_run_that_is_let_go_waits_from_then_on(monkeypatch):
    run = made(held=True, after="something", accepted_at=timezone.now() - timedelta(hours=2))
    runs.accept(start_of(demo_task, (), {}, {}, task_id=run.pk))
    observed: list[float] = []
    monkeypatch.setattr(counts, "_observe", lambda name, task, seconds: observed.append(seconds))
    claimed = runs.claim(run.pk, "w1")
    assert claimed is not None and claimed.after == "something"
    counts.claimed(claimed)
    assert observed[0] < 60


# --- live -------------------------------------------------------------------------------------------------------------


def test_staff_hear_that_the_list_is_another_one_whenever_it_is(django_assert_max_num_queries):
    sarah, bob = Viewer(1, is_staff=True), Viewer(2)

    def said() -> Any:
        with django_assert_max_num_queries(3):  # for all of the staff
            first, second, other = feeds.look(
                [(sarah, "newest"), (Viewer(3, is_staff=True), "newest"), (bob, "newest")]
            )
        assert first == second and other is None
        return first

    heard = [said()]
    run = made()
    heard.append(said())
    runs.claim(run.pk, "w1")
    heard.append(said())
    runs.end(run.pk, State.SUCCESS, attempt=1)
    heard.append(said())
    assert all(one != other for number, one in enumerate(heard) for other in heard[:number])
    TaskRun.objects.filter(pk=run.pk).update(progress={"message": "numbers come over the socket"})
    assert said() == heard[-1]


def test_what_has_not_ended_is_live_and_what_has_ended_is_plain(staff):
    live = [made(state) for state in (State.PENDING, State.STARTED, State.RETRY)]
    ended = [made(state) for state in (State.SUCCESS, State.FAILURE, State.REVOKED)]
    page = staff.get("/runs/").content.decode()
    rows = dict(re.findall(r'<tr data-run="([^"]+)"(.*?)</tr>', page, re.DOTALL))
    assert {pk for pk, row in rows.items() if "<task-progress" in row} == {run.pk for run in live}
    assert {pk for pk, row in rows.items() if 'role="progressbar"' not in row} == {run.pk for run in ended}


def test_who_tells_nothing_for_long_leads_to_where_it_is(staff, monkeypatch):
    run = made(State.STARTED, attempt=1)
    monkeypatch.setattr("tasks.templatetags.runs.said_silence", lambda state: "no news for 4 min")
    page = staff.get("/runs/").content.decode()
    assert re.search(rf'<a href="/tasks/{run.pk}/\?where=1#where"[^>]*>no news for 4 min</a>', page)
