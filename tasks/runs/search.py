"""Which runs a filter means: for the list of all runs, and for what is done to all that match."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from tasks.models import CLAIMABLE, FINAL, State, TaskRun

#: What the filter offers as "since".
SINCE = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
#: The owner of runs that visitors without an account have started.
ANONYMOUS = "anonymous"
#: Characters of a word.
MAX_WORD = 200
#: What is loaded of the repetitions.
REPEATED = ("pk", "retry_of", "state")


@dataclass(frozen=True, slots=True)
class Filter:
    """What the filter says; an empty word is no condition."""

    state: str = ""
    task: str = ""
    owner: str = ""
    since: str = ""
    q: str = ""

    @classmethod
    def of(cls, words: Mapping[str, object]) -> Filter:
        """The filter that these words say; others are ignored."""
        return cls(**{name: str(words.get(name) or "").strip()[:MAX_WORD] for name in cls.__dataclass_fields__})

    def as_words(self) -> dict[str, str]:
        """For `of`."""
        return asdict(self)

    def find(self, *, any_state: bool = False, now: datetime | None = None) -> QuerySet[TaskRun]:
        """The runs it leaves, the newest first; `any_state` leaves out that condition, "since" ends `now`."""
        found = TaskRun.objects.order_by("-accepted_at")
        if self.state in State.values and not any_state:
            found = found.filter(state=self.state)
        if self.task:
            found = found.filter(name=self.task)
        if self.owner == ANONYMOUS:
            found = found.filter(owner=None)
        elif self.owner:
            found = found.filter(owner__username=self.owner)
        if self.since in SINCE:
            found = found.filter(accepted_at__gte=(now or timezone.now()) - SINCE[self.since])
        return _with_word(found, self.q) if self.q else found


def _with_word(found: QuerySet[TaskRun], word: str) -> QuerySet[TaskRun]:
    """Those with `word` in their id, name, owner, worker, arguments, error or last message."""
    plain = Q(pk__startswith=word) | Q(name__icontains=word) | Q(owner__username__icontains=word)
    plain |= Q(worker__icontains=word)
    # As JSON stores it, with and without escapes: SQLite keeps what it is given, PostgreSQL the characters.
    for written in {json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}:
        for text in ("arguments_text", "error_text", "progress_text"):
            plain |= Q(**{f"{text}__icontains": written})
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
