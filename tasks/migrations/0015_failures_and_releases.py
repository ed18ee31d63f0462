"""The release and the fingerprint of a run; releases, ignored groups of failures, and alerts."""

from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import CharField, F, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Concat, Left


def group_old_failures(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Their place is not known any more: they are grouped by their type and their task, as what has no place is."""
    runs = apps.get_model("tasks", "TaskRun").objects.using(schema_editor.connection.alias)
    told = Cast(KeyTextTransform("type", "error"), CharField(max_length=250))
    kind = Left(Coalesce(told, Value("Error"), output_field=CharField()), 40)
    name = Concat(kind, Value(" in "), F("name"), output_field=CharField())
    runs.filter(state="FAILURE", fingerprint=None).update(fingerprint=name)


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0014_attempts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=400, unique=True)),
                ("title", models.CharField(max_length=400)),
                ("is_open", models.BooleanField(default=True)),
                ("changed_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="IgnoredFailure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(max_length=250, unique=True)),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=150)),
            ],
        ),
        migrations.CreateModel(
            name="Release",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("since", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.AddField(
            model_name="taskrun",
            name="fingerprint",
            field=models.CharField(
                blank=True, help_text="Of a failure: its type, and where in one's own code.", max_length=250, null=True
            ),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="release",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="The release of its newest attempt.", max_length=64
            ),
        ),
        migrations.RunPython(group_old_failures, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("after__isnull", False)),
                fields=["after"],
                name="runs_after",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("fingerprint__isnull", False)),
                fields=["fingerprint", "finished_at"],
                name="runs_failed_alike",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("fingerprint__isnull", False)), fields=["finished_at"], name="runs_failed"
            ),
        ),
    ]
