"""The project's settings, with the jobs of the benchmarks and an address that starts them."""

from django_starter.settings import *  # noqa: F403
from django_starter.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks.project"]
ROOT_URLCONF = "benchmarks.project.urls"
