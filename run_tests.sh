#!/usr/bin/env bash
# Tests everything, and does all its own set-up in a fresh clone.
#
#   ./run_tests.sh                     ruff, mypy and the tests (a browser included), in about fifteen minutes
#   ./run_tests.sh quick               ruff, mypy, unit and integration tests but the slow ones, in about a minute
#   ./run_tests.sh faults              only tests/live/faults: what is broken on purpose
#   ./run_tests.sh hosts               several machines, played by network namespaces; Linux, root, PostgreSQL, Redis, nginx
#   ./run_tests.sh engines             every promise on Celery, Huey and Django's tasks; the last once more with Django 6
#   ./run_tests.sh adopt               docs/ADOPT.md, done literally in fresh projects with the wheel; what a container runs
#   ./run_tests.sh matrix              quick and the main live tests with every Python and Django that is promised
#   ./run_tests.sh rabbitmq            what depends on the broker, with a real RabbitMQ, in about half an hour
#   CELERY=path ./run_tests.sh celery  Celery's own integration tests, from a checkout of celery/celery at that path
#   DJANGO_TASKS=path ./run_tests.sh django-tasks  the tests of the backport of Django's task framework, from a checkout
#   ./run_tests.sh tests/unit -k hub   any arguments of pytest: only those tests, without ruff and mypy
#
# Live tests use folders and ports of their own: they run beside a running ./start_dev.sh.

set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null
. django_starter/processes/venv.sh

# Prints where an installed Chromium or Chrome is; fails when there is none.
installed_browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" 2>/dev/null && return
  done
  for name in "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
    /Applications/Chromium.app/Contents/MacOS/Chromium; do
    if [ -x "$name" ]; then
      say "$name"
      return
    fi
  done
  return 1
}

# Sets TEST_BROWSER to a browser, which is installed when there is none. "playwright": its own.
prepare_browser() {
  if TEST_BROWSER=${TEST_BROWSER:-$(installed_browser)}; then
    :
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 &&
    say "No browser yet: installing Debian's Chromium …" &&
    run apt-get -qq update && run env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null; then
    TEST_BROWSER=$(installed_browser)
  elif say "No browser yet: installing Playwright's Chromium …" && run .venv/bin/python -m playwright install chromium; then
    TEST_BROWSER=playwright
  else
    fail "There is no browser for the browser tests: install Chromium or Chrome (./run_tests.sh quick needs none)."
  fi
  export TEST_BROWSER
}

# Installs the given programs (`program` or `program:package`) where they are missing; starts none of them.
prepare_servers() {
  local missing=() program
  for program in "$@"; do
    command -v "${program%%:*}" >/dev/null 2>&1 || missing+=("${program##*:}")
  done
  if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then missing=("${missing[@]/postgresql/}"); fi
  [ -z "${missing[*]// /}" ] && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    fail "Install this first, and run it as root: ${missing[*]}"
  fi
  run apt-get -qq update
  # shellcheck disable=SC2048,SC2086 # words
  run env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y ${missing[*]} >/dev/null
}

# The durable and the live tests, with RabbitMQ as the broker. Its service, if the package brings one, is not used.
prepare_rabbitmq() {
  if command -v rabbitmqctl >/dev/null 2>&1 && command -v epmd >/dev/null 2>&1; then
    :
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && say "No RabbitMQ yet: installing Debian's …" &&
    run apt-get -qq update &&
    # RUNLEVEL: where it can, the package starts no service. The tests start their own.
    run env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y rabbitmq-server >/dev/null; then
    :
  else
    fail "There is no RabbitMQ: install rabbitmq-server (all other tests need none)."
  fi
  export TEST_BROKER=rabbitmq
}

# Sets $django6 to an environment with what the tests need and Django 6, which needs Python 3.12 or newer.
prepare_django6() {
  local name python='' wanted installed
  django6=.venv-django6
  # Hashes are those of one version: without them here.
  wanted=$(sed -e '/^ *--hash=/d' -e 's/ \\$//' -e 's/^django==.*/django>=6.0,<7/' requirements-dev.txt)
  installed=$django6/installed-requirements
  [ "$wanted" = "$(cat "$installed" 2>/dev/null)" ] && return
  for name in ${DJANGO6_PYTHON:-} python3.13 python3.12; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then
      python=$name
      break
    fi
  done
  [ -n "$python" ] || fail "Django 6 needs Python 3.12 or newer: install it, or name it: DJANGO6_PYTHON=path ./run_tests.sh engines"
  say "Making $django6 with $("$python" --version 2>&1) and Django 6 …"
  run "$python" -m venv --clear "$django6"
  run "$django6/bin/python" -m pip install --quiet --disable-pip-version-check -r <(printf '%s\n' "$wanted") ||
    fail "The packages of requirements-dev.txt, with Django 6, could not be installed: the lines above say why."
  printf '%s\n' "$wanted" >"$installed"
}

check_style() {
  run .venv/bin/python -m ruff check .
  run .venv/bin/python -m ruff format --check .
}

# Some files of tests at a time: the live ones wait for processes more than they compute.
several_at_a_time() {
  local number=$1
  shift
  .venv/bin/python -m pytest -n "$number" --dist loadfile --no-loadscope-reorder "$@"
}

case ${1:-} in -h | --help)
  sed -n '2,/^$/s/^# \{0,1\}//p' run_tests.sh
  exit 0
  ;;
esac

trap 'exit 130' INT TERM # not on to the next part
# Images of containers often set it. Then each of a thousand processes would compile all that it imports.
unset PYTHONDONTWRITEBYTECODE
prepare_venv requirements-dev.txt
cp requirements.txt .venv/installed-requirements.txt # the same pins: ./start_dev.sh has nothing left to install

case ${1:-} in
  '')
    check_style
    .venv/bin/python -m mypy &
    mypy=$!
    prepare_browser
    prepare_servers initdb:postgresql setpriv:util-linux
    failed=0
    several_at_a_time 4 tests --ignore tests/live/test_container_roles.py --ignore tests/hosts --ignore tests/adopt --ignore tests/engines -m "not alone" || failed=$?
    wait "$mypy" || failed=$?
    several_at_a_time 2 tests/live -m alone || failed=$?
    exit "$failed"
    ;;
  quick)
    shift
    check_style
    .venv/bin/python -m mypy &
    mypy=$!
    failed=0
    several_at_a_time 3 tests/unit tests/integration -m "not slow" "$@" || failed=$?
    wait "$mypy" || failed=$?
    exit "$failed"
    ;;
  faults)
    shift
    prepare_browser
    prepare_servers initdb:postgresql setpriv:util-linux
    exec .venv/bin/python -m pytest tests/live/faults "$@"
    ;;
  hosts)
    shift
    prepare_browser
    prepare_servers nginx redis-server initdb:postgresql openssl ip:iproute2 setpriv:util-linux
    exec .venv/bin/python -m pytest -rP --timeout 300 tests/hosts "$@"
    ;;
  adopt)
    shift
    exec .venv/bin/python -m pytest -rP --timeout 300 tests/adopt tests/live/test_container_roles.py "$@"
    ;;
  matrix)
    shift
    prepare_browser
    exec .venv/bin/python -m tests.matrix "$@"
    ;;
  engines)
    shift
    prepare_browser
    prepare_django6
    failed=0
    .venv/bin/python -m pytest -rP --timeout 300 tests/engines "$@" || failed=$?
    "$django6/bin/python" -m pytest -rP --timeout 300 tests/engines -k "promises and django" || failed=$?
    exit "$failed"
    ;;
  rabbitmq)
    shift
    prepare_browser
    prepare_rabbitmq
    exec .venv/bin/python -m pytest \
      tests/live/{faults,only_rabbitmq.py,test_celery_behaviour.py,test_watching.py,test_engine.py,test_downloads.py} "$@"
    ;;
  celery)
    shift
    exec .venv/bin/python -m tests.celery_suite.run "${CELERY:?a checkout of celery/celery: CELERY=path ./run_tests.sh celery}" "$@"
    ;;
  django-tasks)
    shift
    exec .venv/bin/python -m tests.django_suite.run "${DJANGO_TASKS:?a checkout of django-tasks: DJANGO_TASKS=path ./run_tests.sh django-tasks}" "$@"
    ;;
  *)
    prepare_browser
    exec .venv/bin/python -m pytest "$@"
    ;;
esac
