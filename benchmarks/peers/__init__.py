"""The peers of `throughput.py`, each used as its README says; `requirements.txt` has their packages."""
