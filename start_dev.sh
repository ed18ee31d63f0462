#!/usr/bin/env bash
# Starts the whole system for development, from nothing but a Python 3.11 or newer: ./start_dev.sh
#
#   page     http://localhost:8001/   (PORT)          Django's dev server, reloads itself
#   Flower   http://localhost:8054/   (FLOWER_PORT)
#   worker   Celery, started again when Python code changes; with DOWNLOADS_ENGINE=huey a Huey worker too
#   Redis    REDIS_URL, else the one on localhost:6379, else an embedded Valkey
#
# Ctrl-C stops all of it. What a running checkout writes is in .dev/ (DEV_DIR); delete it to begin anew.

set -euo pipefail

# This file itself, also when it was reached through a link (macOS has no `readlink -f`).
self=${BASH_SOURCE[0]}
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname "$self")/$link ;; esac
done

. "$(dirname -- "$self")/django_starter/processes/start.sh"

exec .venv/bin/python -m django_starter.dev
