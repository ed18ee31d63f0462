"""Celery's own integration tests, run on this project: `run.py`. Nothing of Celery's is here."""
