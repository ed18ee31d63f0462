"""The Django application of report downloads. Its tables are the app `tasks`'s, where they were made."""

from django.apps import AppConfig


class DownloadsConfig(AppConfig):
    name = "tasks.downloads"
    label = "downloads"
    verbose_name = "Report downloads"

    def ready(self) -> None:
        from tasks.runs.prune import also_prune
        from tasks.web.panels import register_home_form, register_run_fragment

        from . import checks, files, panels, shells  # noqa: F401 - checks registers itself

        shells.shell()  # whoever takes them out of the queue knows the task
        register_home_form(panels.FORM)
        register_run_fragment(panels.FILES)
        also_prune(files.prune)
