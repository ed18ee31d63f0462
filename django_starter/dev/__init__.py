"""What `start_dev.sh` runs once the virtual environment is there: the whole system as children of one process.

`supervisor.py` tells the story; `service.py` is one child, `output.py` shows what all of them say, and `changes.py`
tells when the worker has to start again.
"""
