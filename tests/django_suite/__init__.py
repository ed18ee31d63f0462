"""The backport's own tests of its backends, run on `tasks.django_tasks.CeleryBackend` from a checkout: see run.py."""
