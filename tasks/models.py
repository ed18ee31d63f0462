"""TaskRun: one row for each accepted task. Only `tasks.runs.moves` moves its state."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from progress.types import JSON

T = TypeVar("T")

#: The engine of whoever names none: rows that an older release wrote have it as well.
CELERY = "celery"


def new_id() -> str:
    """An id that cannot be guessed."""
    return str(uuid.uuid4())


class State(models.TextChoices):
    """Celery's states. PENDING → STARTED → one of the three ends, with RETRY between two attempts."""

    PENDING = "PENDING", "waiting"
    STARTED = "STARTED", "running"
    RETRY = "RETRY", "trying again"
    SUCCESS = "SUCCESS", "done"
    FAILURE = "FAILURE", "failed"
    REVOKED = "REVOKED", "cancelled"


#: States in which a run may be claimed by a worker.
CLAIMABLE = (State.PENDING, State.RETRY)
#: States that are the end.
FINAL = (State.SUCCESS, State.FAILURE, State.REVOKED)


class Runs(models.Manager["TaskRun"]):
    """Runs without their checkpoints, which may be large and are wanted by the task alone: Django fetches one when it
    is asked for."""

    def get_queryset(self) -> models.QuerySet[TaskRun]:
        """All runs."""
        return super().get_queryset().defer("checkpoint")


class TaskRun(models.Model):
    """A task that was accepted: what shall be done, for whom, and how far it has come.

    `message` holds what is needed to send it again: `{"args", "kwargs", "options"}`, as Celery's JSON.
    """

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    name = models.CharField("task", max_length=200)
    message = models.JSONField(default=dict)
    queue = models.CharField(max_length=100)
    engine = models.CharField(max_length=40, default=CELERY, db_default=CELERY, help_text="Who does it: Celery, Huey.")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    session_key = models.CharField(max_length=40, blank=True)
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)
    active_key = models.CharField(
        max_length=200, null=True, blank=True, help_text="No other run with it is active; see `one_while_active`."
    )

    held = models.BooleanField(default=False, help_text="Part of a chain or chord: something before it must end first.")
    after = models.CharField(
        max_length=64, null=True, blank=True, help_text="The run or group that a held one waits for."
    )
    unfollowed = models.BooleanField(default=False, help_text="It has ended; what waits for it has not heard it yet.")
    priority = models.SmallIntegerField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempt = models.PositiveIntegerField(default=0, help_text="Counts claims: tries, and beginnings anew.")
    tries = models.PositiveIntegerField(default=1, help_text="Its try: the one that runs, or comes next.")
    max_tries = models.PositiveIntegerField(
        null=True, blank=True, help_text="It may ask for so many, by retries; empty: for any number."
    )
    max_attempts = models.PositiveIntegerField(default=3, help_text="A worker may die in it this many times.")
    worker = models.CharField(max_length=200, blank=True)
    # Defaults in the database as well: old code goes on inserting during a deploy.
    release = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="The release of its newest attempt."
    )
    attempts = models.JSONField(
        default=list, db_default=[], blank=True, help_text="Who worked on it, where its engine's users ask."
    )
    lost = models.PositiveIntegerField(default=0, help_text="How many workers died in it.")
    in_vain = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many of them without having moved its checkpoint."
    )

    parent_id = models.CharField(max_length=64, null=True, blank=True)
    group_id = models.CharField(max_length=64, null=True, blank=True)
    retry_of = models.CharField(max_length=64, null=True, blank=True)
    periodic = models.CharField(max_length=200, null=True, blank=True, help_text="The entry of a schedule it is of.")
    tick = models.DateTimeField(null=True, blank=True, help_text="The time of that entry for which it was started.")

    accepted_at = models.DateTimeField()
    freed_at = models.DateTimeField(null=True, blank=True, help_text="What a held one waited for had ended.")
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    eta = models.DateTimeField(null=True, blank=True)
    expires = models.DateTimeField(null=True, blank=True)
    next_retry_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    traceback = models.TextField(blank=True, help_text="For staff only.")
    fingerprint = models.CharField(
        max_length=250, null=True, blank=True, help_text="Of a failure: its type, and where in one's own code."
    )
    progress = models.JSONField(default=dict, blank=True, help_text="The last numbers: the changing part of the state.")

    checkpoint = models.JSONField(
        null=True, blank=True, help_text="Where its next attempt goes on; see `tasks.resume`."
    )
    checkpoint_at = models.JSONField(null=True, blank=True, help_text="How far that is, and for which task it fits.")
    checkpoint_seq = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Counts the writes of the checkpoint."
    )
    advanced = models.BooleanField(default=False, db_default=False, help_text="This attempt moved the checkpoint.")

    objects = Runs()

    class Meta:
        verbose_name = "run"
        ordering = ("-accepted_at", "-pk")  # those of a group came in the same moment
        constraints = (
            models.UniqueConstraint(fields=["idempotency_key"], name="one_run_for_a_key"),
            models.UniqueConstraint(fields=["active_key"], name="one_active_run_for_a_key"),
            models.UniqueConstraint(fields=["periodic", "tick"], name="one_run_for_a_tick"),
            models.CheckConstraint(
                condition=~Q(state__in=FINAL) | Q(finished_at__isnull=False), name="an_end_has_its_time"
            ),
        )
        # Each state that is written writes all of these that apply: there is one for a question, and no other. Of a run
        # that has not ended `finished_at` is NULL: an index WHERE that is so is small, and SQLite finds it, which does
        # not see that `state IN (?, ?)` means the same.
        indexes = (
            models.Index(fields=["-accepted_at"], name="runs_by_time"),
            models.Index(fields=["name", "-accepted_at"], name="runs_of_task"),
            models.Index(fields=["state", "-accepted_at"], name="runs_by_state"),
            models.Index(fields=["retry_of"], name="runs_repeating", condition=Q(retry_of__isnull=False)),
            models.Index(
                fields=["periodic", "-accepted_at"], name="runs_of_entry", condition=Q(periodic__isnull=False)
            ),
            models.Index(fields=["owner", "-accepted_at"], name="runs_of_user"),
            models.Index(fields=["session_key", "-accepted_at"], name="runs_of_session"),
            models.Index(
                fields=["queue", "engine", "accepted_at"],
                name="runs_in_queue",
                condition=Q(finished_at=None, held=False),
            ),
            models.Index(
                fields=["accepted_at"], name="runs_unsent", condition=Q(finished_at=None, held=False, sent_at=None)
            ),
            models.Index(
                fields=["expires"], name="runs_expiring", condition=Q(finished_at=None, expires__isnull=False)
            ),
            models.Index(
                fields=["cancel_requested_at"], name="runs_cancelled", condition=Q(cancel_requested_at__isnull=False)
            ),
            models.Index(fields=["parent_id"], name="runs_of_parent", condition=Q(parent_id__isnull=False)),
            models.Index(fields=["group_id"], name="runs_of_group", condition=Q(group_id__isnull=False)),
            models.Index(fields=["finished_at"], name="runs_ended", condition=Q(finished_at__isnull=False)),
            models.Index(
                fields=["fingerprint", "finished_at"], name="runs_failed_alike", condition=Q(fingerprint__isnull=False)
            ),
            models.Index(fields=["finished_at"], name="runs_failed", condition=Q(fingerprint__isnull=False)),
            models.Index(fields=["worker"], name="runs_started", condition=Q(state=State.STARTED)),
            models.Index(fields=["after"], name="runs_held", condition=Q(held=True)),
            models.Index(fields=["after"], name="runs_after", condition=Q(after__isnull=False)),
            models.Index(fields=["finished_at"], name="runs_unfollowed", condition=Q(unfollowed=True)),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def is_final(self) -> bool:
        """True if this is the end."""
        return self.state in FINAL

    @property
    def due_at(self) -> datetime | None:
        """When it may begin: between two attempts `eta` is over, whatever a clock that was set back says."""
        return self.next_retry_at if self.state == State.RETRY else self.eta

    @property
    def args(self) -> list[JSON]:
        """The positional arguments, as JSON."""
        return [*_part(self.message, "args", list)]

    @property
    def kwargs(self) -> dict[str, JSON]:
        """The keyword arguments, as JSON."""
        return {**_part(self.message, "kwargs", dict)}


def _part(message: object, name: str, kind: type[T]) -> T:
    """That part of a message, empty where another program has written something else."""
    value = message.get(name) if isinstance(message, dict) else None
    return value if isinstance(value, kind) else kind()


class Attempt(models.Model):
    """An attempt that did not end its run itself. Only `tasks.runs.moves` makes them, with the move that ends one."""

    class How(models.TextChoices):
        """Why it was the last of nothing but itself."""

        LOST = "lost", "its process died"
        HUNG = "hung", "it hung, and was ended"
        RETRIED = "retried", "asked for another try"
        GIVEN_BACK = "given_back", "given back: its worker ended"
        REPLACED = "replaced", "went on as another task"
        KILLED = "killed", "ended by force"

    # No index of its own: the constraint has one.
    run = models.ForeignKey(TaskRun, models.CASCADE, related_name="left", db_index=False)
    number = models.PositiveIntegerField()
    how = models.CharField(max_length=10, choices=How)
    worker = models.CharField(max_length=200)
    queue = models.CharField(max_length=100)
    began = models.DateTimeField(null=True)
    ended = models.DateTimeField()
    error = models.JSONField(null=True)
    traceback = models.TextField(blank=True, help_text="For staff only. Of one that hung: where it did.")
    code = models.SmallIntegerField(null=True, help_text="How its process ended: an exit code, or minus a signal.")
    resumed_from = models.JSONField(null=True, help_text="How far the checkpoint was at which it went on.")
    numbers = models.JSONField(default=dict, help_text="The last ones: current, total, percent, unit, message, step.")

    class Meta:
        ordering = ("run", "number")
        constraints = (models.UniqueConstraint(fields=["run", "number"], name="one_row_for_an_attempt"),)

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.run_id}"

    @property
    def host(self) -> str:
        """The machine, as the name of its worker says it."""
        return self.worker.partition("@")[2].partition(":")[0]


class TaskGroup(models.Model):
    """A Celery group that must be remembered: the header of a chord, or one that was saved.

    `members` is the group's `GroupResult.as_tuple()`; `body` the chord's callback, as a signature.
    """

    id = models.CharField(primary_key=True, max_length=64)
    engine = models.CharField(max_length=40, default=CELERY, db_default=CELERY)
    members = models.JSONField()
    body = models.JSONField(null=True)
    left = models.IntegerField(default=0, help_text="Parts that have not ended yet.")
    untracked = models.BooleanField(default=False, help_text="Some parts have no run until they end.")
    done = models.BooleanField(default=False, help_text="The body was started, or failed with its header.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = (models.Index(fields=["created_at"], name="open_chords", condition=Q(done=False)),)

    def __str__(self) -> str:
        return f"group {self.id}"


class Schedule(models.Model):
    """What is known of an entry of a schedule between its ticks. `last_due`: all its times up to this are done with."""

    name = models.CharField("entry", max_length=200, unique=True)
    fingerprint = models.CharField(max_length=40, help_text="Of its times: with others it begins anew.")
    anchor = models.DateTimeField(help_text="When it was first seen with these times: intervals count from here.")
    last_due = models.DateTimeField()
    held_due = models.DateTimeField(null=True, blank=True, help_text="A tick that waits for the run before it.")
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True)
    missed = models.PositiveIntegerField(default=0, help_text="Ticks that nobody was there for, and that did not fire.")
    missed_at = models.DateTimeField(null=True, blank=True)
    skipped = models.PositiveIntegerField(default=0, help_text="Ticks at which the last run was still active.")
    skipped_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="Why its newest tick could not be started.")
    error_at = models.DateTimeField(null=True, blank=True)
    alerted_at = models.DateTimeField(help_text="Failures up to this were told to NOTIFY_URLS.")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Release(models.Model):
    """A release, by its name, and since when workers of it run: the newest one is the current one."""

    name = models.CharField(max_length=64, unique=True)
    since = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.name


class IgnoredFailure(models.Model):
    """A group of failures, by its fingerprint, that nobody wants to see or hear of."""

    fingerprint = models.CharField(max_length=250, unique=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.fingerprint


class Alert(models.Model):
    """Something that ALERT_URLS were told of, by what it is of: told once when it began, and once when it was over."""

    key = models.CharField(max_length=400, unique=True)
    title = models.CharField(max_length=400)
    is_open = models.BooleanField(default=True)
    changed_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.title
