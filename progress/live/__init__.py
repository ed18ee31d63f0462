"""A live bar for any Celery project: its own result backend, no table of runs.

Used where PROGRESS_SOURCE names nothing else. `signals.py` hears Celery, `starts.py` keeps in Redis who started what,
`source.py` says who may watch it. Nothing here is kept longer than PROGRESS_TTL, and nothing is tried again: that is
what stored runs are for.
"""
