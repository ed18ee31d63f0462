"""By hand, for as long as one likes: what is composed at random, under faults at random, keeps the rules of all runs.

python -m tests.soak --minutes 30 [--seed N]

`__main__.py` has the servers and breaks them; `driver.py` starts and cancels, as a process of that system.
"""
