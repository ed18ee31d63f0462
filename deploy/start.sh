#!/bin/sh
# What a container runs: deploy/start.sh web | worker | flower | migrate | any other command
set -eu
cd -P -- "$(dirname -- "$0")/.."
python=${PYTHON:-.venv/bin/python}
case ${1:-web} in
  web)
    "$python" manage.py collectstatic --noinput --verbosity 0
    exec "$python" -m django_starter.serve.web
    ;;
  worker)
    # TERM as QUIT: running tasks get 6 s, then they are given back.
    REMAP_SIGTERM=SIGQUIT exec "$python" -m celery -A django_starter worker -l info --without-mingle \
      --concurrency "${CONCURRENCY:-4}" -n "worker@$(hostname)" -- worker.soft_shutdown_timeout=6
    ;;
  flower)
    : "${FLOWER_PASSWORD:?a password for the user flower}"
    export FLOWER_BASIC_AUTH="flower:$FLOWER_PASSWORD" FLOWER_READ_ONLY="${FLOWER_READ_ONLY:-1}"
    exec "$python" -m celery -A django_starter flower --address=0.0.0.0 --port="${FLOWER_PORT:-8054}" --logging=warning
    ;;
  migrate) exec "$python" manage.py migrate --noinput ;;
  *) exec "$@" ;;
esac
