"""The ASGI application: `daphne django_starter.asgi:application`."""

import gc
import os

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")
if not apps.ready:  # the checks import this file, and a second time would set up the logging anew
    django.setup(set_prefix=False)  # what follows imports models

from django.conf import settings

from django_starter.body import limit_body
from django_starter.readable import Handler
from django_starter.subpath import below_its_path
from progress.asgi import with_progress

application = below_its_path(with_progress(limit_body(Handler(), settings.MAX_BODY)))

# What was imported stays: the collector need not look at it each time that a thousand sockets come at once.
gc.collect()
gc.freeze()
