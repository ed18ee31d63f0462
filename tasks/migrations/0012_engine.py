"""Which engine does a run: the rows that are there are Celery's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0013_schedules")]

    operations = [
        migrations.AddField(
            model_name="taskgroup",
            name="engine",
            field=models.CharField(db_default="celery", default="celery", max_length=40),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="engine",
            field=models.CharField(
                db_default="celery", default="celery", help_text="Who does it: Celery, Huey.", max_length=40
            ),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="attempts",
            field=models.JSONField(
                blank=True, db_default=[], default=list, help_text="Who worked on it, where its engine's users ask."
            ),
        ),
        migrations.RemoveIndex(model_name="taskrun", name="runs_in_queue"),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("finished_at", None), ("held", False)),
                fields=["queue", "engine", "accepted_at"],
                name="runs_in_queue",
            ),
        ),
    ]
