"""What the start scripts and the doctor share: ports, the embedded Valkey, Flower's account, the guard.

It knows none of them: `dev`, `serve` and `doctor` import it, and not each other. `start.sh` is what both start scripts
do before Python takes over, `venv.sh` the virtual environment for them and for run_tests.sh.
"""
