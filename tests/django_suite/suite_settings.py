"""The project's settings, with the suite's addresses and the backend that is judged."""

from django_starter.settings import *  # noqa: F403

ROOT_URLCONF = "tests.urls"
TASKS = {"default": {"BACKEND": "tasks.django_tasks.CeleryBackend"}}
