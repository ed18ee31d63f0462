from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tasks", "0019_words")]

    operations = [
        migrations.AlterModelOptions(
            name="taskrun", options={"ordering": ("-accepted_at", "-pk"), "verbose_name": "run"}
        ),
    ]
