"""Celery's edge: what makes a Celery task a run, and a Celery worker one that beats, sweeps and gives back."""
