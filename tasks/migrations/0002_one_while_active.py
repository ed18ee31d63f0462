from django.db import migrations, models


class Migration(migrations.Migration):
    #: Its name while it also made the tables of downloads: the app of downloads makes them now, or takes those over. The
    #: line has to stay, or a database in which that name is noted gets the column a second time.
    replaces = [("tasks", "0002_report_downloads")]

    dependencies = [("tasks", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="taskrun",
            name="active_key",
            field=models.CharField(
                blank=True,
                help_text="No other run with it is active; see `one_while_active`.",
                max_length=200,
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="taskrun",
            constraint=models.UniqueConstraint(fields=("active_key",), name="one_active_run_for_a_key"),
        ),
    ]
