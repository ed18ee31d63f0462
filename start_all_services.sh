#!/usr/bin/env bash
# Starts everything as on a server, under supervisord (supervisord.conf): ./start_all_services.sh
#
#   page     http://localhost:8001/   (BIND, PORT)    Daphne, or uvicorn with ASGI_SERVER=uvicorn
#   Flower   http://localhost:8054/   (FLOWER_PORT)   with a password, which the first start prints
#   worker   Celery; with DOWNLOADS_ENGINE=huey a Huey worker too
#   Redis    REDIS_URL, else the one on localhost:6379, else an embedded Valkey
#
# First it looks: settings (manage.py check --deploy), ports, database, static files. A service that dies is started
# again. Ctrl-C or TERM ends all of it within 15 s and gives unfinished tasks back. Settings: .env.example
# A site that others than this machine reach (ALLOWED_HOSTS) needs a SECRET_KEY.

set -euo pipefail

# This file itself, also when it was reached through a link (macOS has no `readlink -f`).
self=${BASH_SOURCE[0]}
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname "$self")/$link ;; esac
done

. "$(dirname -- "$self")/django_starter/processes/start.sh"

exec .venv/bin/python -m django_starter.serve
