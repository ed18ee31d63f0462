"""A run says which of its tries it is in, apart from the workers that died in it, and since when it could begin."""

from django.db import migrations, models
from django.db.migrations.state import StateApps
from django.db.models import F


def count_tries(apps: StateApps, schema_editor: object) -> None:
    """Of the runs there are: every claim that no dead worker explains was a try."""
    runs = apps.get_model("tasks", "TaskRun").objects.filter(attempt__gt=F("lost") + 1)
    runs.update(tries=F("attempt") - F("lost"))


class Migration(migrations.Migration):
    dependencies = [("tasks", "0008_hash_idempotency_keys")]

    operations = [
        migrations.AddField(
            "taskrun",
            "tries",
            models.PositiveIntegerField(default=1, help_text="Its try: the one that runs, or comes next."),
        ),
        migrations.AddField(
            "taskrun",
            "max_tries",
            models.PositiveIntegerField(
                blank=True, help_text="It may ask for so many, by retries; empty: for any number.", null=True
            ),
        ),
        migrations.AddField(
            "taskrun",
            "freed_at",
            models.DateTimeField(blank=True, help_text="What a held one waited for had ended.", null=True),
        ),
        migrations.AlterField(
            "taskrun",
            "attempt",
            models.PositiveIntegerField(default=0, help_text="Counts claims: tries, and beginnings anew."),
        ),
        migrations.RunPython(count_tries, migrations.RunPython.noop),
    ]
