#!/usr/bin/env bash
# Begins a project of your own with this starter: ./start_project.sh myshop ../myshop
#
#   NAME                  of its package: myshop
#   FOLDER                a new one, outside of this checkout
#   --without-downloads   without the report downloads
#   --without-demos       Start Task offers your own tasks alone
#
# It has no history, a README and a SECRET_KEY of its own, and a user model that can be changed later. Its tests are green:
# ./run_tests.sh quick

set -euo pipefail

case ${1:-} in -h | --help | '')
  sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  [ -n "${1:-}" ]
  exit
  ;;
esac

from=$PWD
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null
. django_starter/processes/venv.sh
prepare_venv requirements-dev.txt # ruff sorts and breaks lines anew

# A folder is meant from where the caller is.
root=$PWD
cd -- "$from"
PYTHONPATH=$root exec "$root/.venv/bin/python" -m django_starter.new "$@"
