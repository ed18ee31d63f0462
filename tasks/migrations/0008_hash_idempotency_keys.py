"""Idempotency-Keys that were stored as they came belong to their task, under the hash that a start looks for today."""

import hashlib
import json
from datetime import timedelta

from django.db import migrations
from django.db.migrations.state import StateApps
from django.utils import timezone

#: A key means the same run for so long: older ones are nobody's.
WINDOW = timedelta(hours=24)


def hash_keys(apps: StateApps, schema_editor: object) -> None:
    """Change what a start of the last day has left."""
    runs = apps.get_model("tasks", "TaskRun").objects
    kept = runs.filter(idempotency_key__isnull=False)
    kept.filter(accepted_at__lt=timezone.now() - WINDOW).update(idempotency_key=None)
    for pk, name, key in list(kept.values_list("pk", "name", "idempotency_key")):
        owner, _, given = key.partition(":")
        digest = hashlib.sha256(json.dumps([name, given], sort_keys=True).encode()).hexdigest()
        runs.filter(pk=pk).update(idempotency_key=f"{owner}:{digest}")


class Migration(migrations.Migration):
    dependencies = [("tasks", "0006_checkpoints")]

    operations = [migrations.RunPython(hash_keys, migrations.RunPython.noop, elidable=True)]
