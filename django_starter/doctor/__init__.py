"""What `manage.py doctor` does: checks everything that a task needs, in an order in which one fault is named once.

`checklist.py` is the list of checks and runs them; `machine.py`, `servers.py`, `work.py` and `frontends.py` have the
checks; `trial.py` tries the system as a visitor; `screen.py` shows the findings.
"""
