"""What `start_all_services.sh` and the units of a server run: each service as the command that it really is.

`python -m django_starter.serve` looks whether everything is right, then becomes supervisord, which starts the
services of `supervisord.conf`. `serve.web`, `serve.flower` and `serve.valkey` put a command line together and become
that program; the worker is plain `celery -A django_starter worker`.
"""
