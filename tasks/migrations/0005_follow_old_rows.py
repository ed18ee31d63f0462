"""What waits for what, for the chains and chords that were accepted before this was stored."""

from typing import Any, TypeAlias

from django.db import migrations
from django.db.migrations.state import StateApps

#: A signature, or a `GroupResult.as_tuple()`, as it is stored.
Stored: TypeAlias = Any

FINAL = ("SUCCESS", "FAILURE", "REVOKED")


def _id(signature: Stored) -> str | None:
    return (signature.get("options") or {}).get("task_id")


def _links(signature: Stored) -> tuple[list[str], str | None, list[tuple[str, str | None]]]:
    """(ids that begin with this signature, the id that what follows it waits for, [(id, what it waits for)] within)."""
    kwargs, kind = signature.get("kwargs") or {}, signature.get("subtask_type")
    if kind == "chord":
        header = kwargs.get("header") or {}
        members = header.get("kwargs", {}).get("tasks", []) if isinstance(header, dict) else header
        group_id = _id(header) if isinstance(header, dict) else None
        body = kwargs.get("body") or {}
        heads = [one for member in members for one in _links(member)[0]]
        first, last, within = _links(body)
        return heads, last, [*((one, group_id) for one in first if group_id), *within]
    if kind == "group":
        return [one for member in kwargs.get("tasks", []) for one in _links(member)[0]], _id(signature), []
    if kind == "chain":
        begins: list[str] | None = None
        after: str | None = None
        within = []
        for one in kwargs.get("tasks", []):
            first, last, more = _links(one)
            if begins is None:
                begins = first
            else:
                within += [(begun, after) for begun in first]
            within += more
            after = last
        return begins or [], after, within
    task_id = _id(signature)
    return ([task_id] if task_id else []), task_id, []


def _ids(result: Stored) -> list[str]:
    """The ids in `GroupResult.as_tuple()`."""
    (task_id, _), children = result
    if children is None:
        return [task_id]
    return [one for child in children for one in _ids(child)]


def follow(apps: StateApps, schema_editor: object) -> None:
    runs, groups = apps.get_model("tasks", "TaskRun"), apps.get_model("tasks", "TaskGroup")

    def wait(task_id: str, after: str | None) -> None:
        runs.objects.filter(pk=task_id, held=True, after=None).update(after=after)

    for run in runs.objects.exclude(state__in=FINAL).filter(held=False).only("message").iterator():
        after = run.pk
        for signature in reversed((run.message.get("options") or {}).get("chain") or []):
            begins, last, within = _links(signature)
            for task_id in begins:
                wait(task_id, after)
            for task_id, what in within:
                wait(task_id, what)
            after = last or after
    for group in groups.objects.filter(done=False, body__isnull=False).iterator():
        ids = _ids(group.members)
        ended = runs.objects.filter(pk__in=ids, state__in=FINAL).count()
        groups.objects.filter(pk=group.pk).update(left=len(ids) - ended)
        begins, _, within = _links(group.body)
        for task_id in begins:
            wait(task_id, group.pk)
        for task_id, what in within:
            wait(task_id, what)


class Migration(migrations.Migration):
    dependencies = (("tasks", "0004_composed_runs"),)

    operations = (migrations.RunPython(follow, migrations.RunPython.noop),)
