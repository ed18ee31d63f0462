#!/usr/bin/env bash
# Starts the whole system for development, from nothing but a Python 3.11 or newer: ./start_dev.sh
#
#   page     http://localhost:8001/   (PORT)          Django's dev server, reloads itself
#   Flower   http://localhost:8054/   (FLOWER_PORT)
#   worker   Celery, started again when Python code changes
#   Redis    REDIS_URL, else the one on localhost:6379, else an embedded Valkey
#
# Ctrl-C stops all of it. What a running checkout writes stands in .dev/ (DEV_DIR); delete it to begin anew.

set -euo pipefail

if [ $# -gt 0 ]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
  case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi

# A relative DEV_DIR is meant from where the caller stands.
case ${DEV_DIR:=} in '' | /*) ;; *) DEV_DIR=$PWD/$DEV_DIR ;; esac

# To the folder of this file, also when it was reached through a link (macOS has no `readlink -f`).
self=${BASH_SOURCE[0]}
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname "$self")/$link ;; esac
done
cd -P -- "$(dirname -- "$self")" >/dev/null
export DEV_DIR=${DEV_DIR:-$PWD/.dev}

. django_starter/dev/venv.sh

any_python
one_at_a_time start_dev.sh
prepare_venv requirements.txt
exec .venv/bin/python -m django_starter.dev
