"""The tables of downloads. They have the names under which the app `tasks` made them once: where it did, they stay."""

from __future__ import annotations

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState, StateApps

NAMES = ("reportfile", "sales", "savedreport", "traffic")


class CreateOrTakeOver(migrations.CreateModel):
    """Makes the model's table, unless the database has it."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        table = to_state.apps.get_model(app_label, self.name)._meta.db_table
        if table not in schema_editor.connection.introspection.table_names():
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def rename_types(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """What was granted for `tasks.sales` holds for `downloads.sales`."""
    types = apps.get_model("contenttypes", "ContentType").objects.using(schema_editor.connection.alias)
    for name in NAMES:
        if not types.filter(app_label="downloads", model=name).exists():
            types.filter(app_label="tasks", model=name).update(app_label="downloads")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        # A database that has an older state of `tasks` gets all of that first.
        ("tasks", "0002_one_while_active"),
    ]

    operations = [
        CreateOrTakeOver(
            name="ReportFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(db_index=True, max_length=64)),
                ("kind", models.CharField(choices=[("csv", "CSV"), ("xlsx", "XLSX")], max_length=4)),
                ("name", models.CharField(help_text="In the storage.", max_length=300, unique=True)),
                ("filename", models.CharField(help_text="On the person's disk.", max_length=200)),
                (
                    "size",
                    models.PositiveBigIntegerField(help_text="Bytes; empty until all of it is stored.", null=True),
                ),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "tasks_reportfile",
                "ordering": ("kind",),
            },
        ),
        CreateOrTakeOver(
            name="Sales",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seller_id", models.CharField(max_length=64)),
                ("day", models.DateField()),
                ("product_id", models.CharField(max_length=100)),
                ("product_name", models.CharField(max_length=300)),
                ("store_name", models.CharField(max_length=300)),
                ("brand_name", models.CharField(max_length=300)),
                ("venture", models.CharField(max_length=300)),
                ("units", models.IntegerField(help_text="Negative where more came back than was sold.")),
                ("revenue", models.DecimalField(decimal_places=4, max_digits=15)),
            ],
            options={
                "db_table": "tasks_sales",
                "verbose_name_plural": "sales",
                "constraints": [
                    models.UniqueConstraint(fields=("seller_id", "day", "product_id"), name="one_sales_row")
                ],
            },
        ),
        CreateOrTakeOver(
            name="SavedReport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(max_length=64)),
                ("seller_id", models.CharField(max_length=64)),
                ("day", models.DateField()),
                ("rows", models.PositiveIntegerField()),
                ("bad_rows", models.PositiveIntegerField()),
                ("saved_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "tasks_savedreport",
                "constraints": [
                    models.UniqueConstraint(fields=("run_id", "seller_id", "day"), name="one_report_of_a_run")
                ],
            },
        ),
        CreateOrTakeOver(
            name="Traffic",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seller_id", models.CharField(max_length=64)),
                ("day", models.DateField()),
                ("product_id", models.CharField(max_length=100)),
                ("pageviews", models.PositiveIntegerField()),
            ],
            options={
                "db_table": "tasks_traffic",
                "verbose_name_plural": "traffic",
                "constraints": [
                    models.UniqueConstraint(fields=("seller_id", "day", "product_id"), name="one_traffic_row")
                ],
            },
        ),
        migrations.RunPython(rename_types, migrations.RunPython.noop),
    ]
