"""What `manage.py doctor` does: asks everything that a task needs, in an order in which one fault is named once.

`examination.py` is the list of questions and asks them; `machine.py`, `servers.py`, `work.py` and `doors.py` are the
questions; `screen.py` shows the answers.
"""
