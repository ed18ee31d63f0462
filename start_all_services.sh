#!/usr/bin/env bash
# Starts everything as on a server, under supervisord (supervisord.conf): ./start_all_services.sh
#
#   page     http://localhost:8001/   (BIND, PORT)    Daphne, or uvicorn with ASGI_SERVER=uvicorn
#   Flower   http://localhost:8054/   (FLOWER_PORT)   with a password, which the first start prints
#   worker   Celery
#   Redis    REDIS_URL, else the one on localhost:6379, else an embedded Valkey
#
# First it looks: settings (manage.py check --deploy), ports, database, static files. A service that dies is started
# again. Ctrl-C or TERM ends all of it within 15 s and gives unfinished tasks back. Settings: .env.example
# Whoever lets others than this machine in (ALLOWED_HOSTS) has to set a SECRET_KEY.

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
one_at_a_time start_all_services.sh
prepare_venv requirements.txt
exec .venv/bin/python -m django_starter.serve
