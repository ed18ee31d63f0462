"""The settings of the live tests' processes: the real ones, and a few jobs and addresses that only tests need."""

from importlib.util import find_spec

from django_starter.settings import *  # noqa: F403
from django_starter.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.live.testjobs"]
if find_spec("django.tasks") or find_spec("django_tasks"):
    #: Django's own tasks, see testjobs/django_jobs.py.
    TASKS = {"default": {"BACKEND": "tasks.django_tasks.CeleryBackend"}}
ROOT_URLCONF = "tests.live.urls"
