"""Which runs a filter means: for the list of all runs, and for what is done to all that match.

What is done to all reads as much as it must. A list goes by indexes, looks for words in the newest runs, and says so.
`error:` goes by the index of failures, so that what else is looked for is looked for in those alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property, reduce
from operator import or_

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    Exists,
    Expression,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from tasks.models import CLAIMABLE, FINAL, State, TaskRun

from .alike import fingerprints
from .bounded import distinct
from .silence import silent
from .waiting import due_at
from .words import Words

#: What the filter offers as "since".
SINCE = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
#: The owner of runs that visitors without an account have started.
ANONYMOUS = "anonymous"
#: Characters of a word; a fingerprint has as many.
MAX_WORD = 250
#: Runs in which a list looks for a word, the newest of all; or through a place, or sorts them: the newest that match.
READ = 1_000
#: Of older ones it finds those whose id begins with the word, and this many of each name and owner with it, the newest.
NEWEST = 300
#: Names and owners that one search may find.
NAMES = 10
#: How a list may be sorted; all but the first two: of its newest runs.
SORTS = ("", "oldest", "ended", "took", "waited")
#: What is loaded of the repetitions.
REPEATED = ("pk", "retry_of", "state")


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search for a word has found; with `more`, older runs may have it as well."""

    ids: set[str]
    more: bool


@dataclass(frozen=True)
class Filter:
    """What the filter says; an empty word is no condition. `again`: "no" leaves those that nobody has run again."""

    state: str = ""
    task: str = ""
    owner: str = ""
    since: str = ""
    q: str = ""
    #: Anything: those that run, and have told nothing for long.
    quiet: str = ""
    fingerprint: str = ""
    again: str = ""

    @classmethod
    def of(cls, words: Mapping[str, object]) -> Filter:
        """The filter that these words say; others are ignored."""
        return cls(**{name: str(words.get(name) or "").strip()[:MAX_WORD] for name in cls.__dataclass_fields__})

    def as_words(self) -> dict[str, str]:
        """For `of`."""
        return asdict(self)

    def find(self, *, any_state: bool = False, now: datetime | None = None) -> QuerySet[TaskRun]:
        """The runs it leaves, the newest first; `any_state` leaves out that condition, "since" ends `now`."""
        words = Words.of(self.q)
        found = _in_places(self._without_word(any_state, now), words.places)
        return _with_word(found, words.text) if words.text else found

    def look(self, *, any_state: bool = False) -> QuerySet[TaskRun]:
        """`find` as far as a list goes: with a word, what `searched` has of it."""
        found = _of_errors(self._without_word(any_state, None), self._errors)
        return found if self.searched is None else found.filter(pk__in=self.searched.ids)

    @cached_property
    def searched(self) -> Searched | None:
        """Where its words are, asked once; None where no index has to be left for them."""
        words = Words.of(self.q)
        if words.text and not words.places:
            return search(words.text)
        loose = {place: said for place, said in words.places.items() if place != "error"}
        if not loose and not words.text:
            return None
        newest = _of_errors(self._without_word(True, None), self._errors)
        ids = list(newest.values_list("pk", flat=True)[: READ + 1])
        found = _in_places(TaskRun.objects.order_by().filter(pk__in=ids[:READ]), loose)
        found = _with_word(found, words.text) if words.text else found
        return Searched(set(found.values_list("pk", flat=True)), len(ids) > READ)

    @cached_property
    def _errors(self) -> list[str] | None:
        """The groups of failures that it names; None where it names none."""
        return named(words) if (words := Words.of(self.q).places.get("error")) else None

    def _without_word(self, any_state: bool, now: datetime | None) -> QuerySet[TaskRun]:
        found = TaskRun.objects.order_by("-accepted_at", "-pk")
        if self.state in State.values and not any_state:
            found = found.filter(state=self.state)
        if self.task:
            found = found.filter(name=self.task)
        if self.owner == ANONYMOUS:
            found = found.filter(owner=None)
        elif self.owner:  # by id: joined with its name, all runs would be read
            owner = get_user_model()._default_manager.filter(username=self.owner).first()
            found = found.none() if owner is None else found.filter(owner_id=owner.pk)
        if self.fingerprint:
            found = found.filter(fingerprint=self.fingerprint)
        if self.again == "no":
            found = found.filter(~Exists(TaskRun.objects.filter(retry_of=OuterRef("pk"))))
        if self.since in SINCE:
            found = found.filter(accepted_at__gte=(now or timezone.now()) - SINCE[self.since])
        if self.quiet:
            found = found.filter(pk__in=self.silent)
        return found

    @cached_property
    def silent(self) -> list[str]:
        """Who is silent, asked once. Raises `CannotSay`."""
        return [one.run_id for one in silent()]


def in_order(found: QuerySet[TaskRun], sort: str) -> QuerySet[TaskRun]:
    """`found`, the newest first, as `sort` says: by the index of time, or so many of the newest by what has none."""
    if sort == "oldest":
        return found.order_by("accepted_at", "pk")
    if sort not in SORTS[2:]:
        return found
    now = Value(timezone.now(), DateTimeField())
    spent = ExpressionWrapper(Coalesce("finished_at", now) - F("started_at"), DurationField())
    waited = ExpressionWrapper(Coalesce("started_at", now) - due_at(), DurationField())
    key: Expression = {
        "ended": F("finished_at"),
        "took": Case(When(~Q(state__in=CLAIMABLE), then=spent)),
        "waited": Case(When(Q(state__in=CLAIMABLE, attempt=0, held=False) | Q(attempt=1), then=waited)),
    }[sort]  # type: ignore[assignment]  # F is none
    ids = list(found.values_list("pk", flat=True)[:READ])
    return (
        TaskRun.objects.filter(pk__in=ids)
        .annotate(key=key)
        .order_by(F("key").desc(nulls_last=True), "-accepted_at", "-pk")
    )


def search(word: str) -> Searched:
    """Runs with `word`, by indexes: all if there are up to `READ`; else see `READ` and `NEWEST`."""
    newest = TaskRun.objects.order_by("-accepted_at")
    # Their ids first: PostgreSQL would look for the word in all runs, and only then at which are the newest.
    ids = list(newest.values_list("pk", flat=True)[: READ + 1])
    parts = [_with_word(TaskRun.objects.order_by().filter(pk__in=ids[:READ]), word)]
    more = len(ids) > READ
    if more:
        names = [name for name in distinct(TaskRun.objects.all(), "name") if word.lower() in name.lower()][:NAMES]
        owners = get_user_model()._default_manager.filter(username__icontains=word)[:NAMES]
        parts.append(TaskRun.objects.order_by().filter(_begins_with(word))[:NEWEST])
        parts += [newest.filter(name=name)[:NEWEST] for name in names]
        parts += [newest.filter(owner_id=owner.pk)[:NEWEST] for owner in owners]
    return Searched({pk for part in parts for pk in part.values_list("pk", flat=True)}, more)


def named(words: list[str]) -> list[str]:
    """The fingerprints with all of the words: those of a few groups, however many failures there are."""
    return [one for one in fingerprints() if all(word.lower() in one.lower() for word in words)]


def _of_errors(found: QuerySet[TaskRun], fingerprints: list[str] | None) -> QuerySet[TaskRun]:
    return found if fingerprints is None else found.filter(fingerprint__in=fingerprints)


def _in_places(found: QuerySet[TaskRun], places: Mapping[str, list[str]]) -> QuerySet[TaskRun]:
    """Those with each word in the place that it names: a queue's whole name, else a part."""
    for word in places.get("queue", ()):
        found = found.filter(queue=word)
    for word in places.get("worker", ()):
        found = found.filter(worker__icontains=word)
    if "args" in places:
        found = found.annotate(arguments_text=Cast("message", TextField()))
    for word in places.get("args", ()):
        found = found.filter(_written("arguments_text", word))
    return _of_errors(found, named(places["error"])) if "error" in places else found


def _written(text: str, word: str) -> Q:
    """As JSON stores it, with and without escapes: SQLite keeps what it is given, PostgreSQL the characters."""
    spelt = {json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}
    return reduce(or_, (Q(**{f"{text}__icontains": one}) for one in spelt))


def _begins_with(word: str) -> Q:
    if connection.vendor == "postgresql":
        return Q(pk__startswith=word)  # by an index of its own
    return Q(pk__gte=word, pk__lt=word + chr(0x10FFFF))  # SQLite's LIKE knows no index; it compares as bytes


def _with_word(found: QuerySet[TaskRun], word: str) -> QuerySet[TaskRun]:
    """Those with `word` in their id, name, owner, worker, arguments, error or last message."""
    plain = Q(pk__startswith=word) | Q(name__icontains=word) | Q(owner__username__icontains=word)
    plain |= Q(worker__icontains=word)
    for text in ("arguments_text", "error_text", "progress_text"):
        plain |= _written(text, word)
    texts = {"arguments_text": "message", "error_text": "error", "progress_text": "progress__message"}
    return found.annotate(**{name: Cast(field, TextField()) for name, field in texts.items()}).filter(plain)


def may(action: str) -> Q:
    """The runs to which it can be done: "cancel" those that have not ended, "retry" those that have.

    "go_on": those that ended badly, and have a checkpoint.
    """
    if action == "go_on":
        return Q(state__in=(State.FAILURE, State.REVOKED), checkpoint_at__isnull=False)
    return ~Q(state__in=FINAL) if action == "cancel" else Q(state__in=FINAL)


def repeated(found: list[TaskRun]) -> dict[str, TaskRun]:
    """Of those that were run again the newest run, through all repetitions."""
    newest = {run.pk: run for run in found}
    ends = {run.pk: run.pk for run in found}  # the run that is known last of each
    for _ in range(10):  # repetitions of repetitions, a query each
        later = TaskRun.objects.filter(retry_of__in=set(ends.values())).order_by("accepted_at").only(*REPEATED)
        next_of = {run.retry_of: run for run in later}
        moved = {pk: next_of[end] for pk, end in ends.items() if end in next_of}
        if not moved:
            break
        newest |= moved
        ends |= {pk: run.pk for pk, run in moved.items()}
    return {run.pk: newest[run.pk] for run in found if newest[run.pk].pk != run.pk}


def said_repeated(last: TaskRun) -> str:
    """How the newest repetition of a run stands."""
    return "waiting" if last.state in CLAIMABLE else State(last.state).label
