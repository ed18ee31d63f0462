"""What `start_dev.sh` runs once the virtual environment stands: the whole system as children of one process.

`supervisor.py` tells the story; `service.py` is one child, `guard.py` ends them all should the supervisor be killed.
"""


class Trouble(Exception):
    """Something a person has to put right. The message is one sentence that says what; no traceback is shown."""
