# shellcheck shell=bash disable=SC2154,SC2164 # the script that sources this sets self, and -e
# Sourced by start_dev.sh and start_all_services.sh, with their arguments: to the folder of the checkout, DEV_DIR, a
# lock, and .venv with the pinned packages. bash 3.2 (macOS).

if [ $# -gt 0 ]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$self"
  case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi

# A relative DEV_DIR is meant from the caller's folder.
case ${DEV_DIR:=} in '' | /*) ;; *) DEV_DIR=$PWD/$DEV_DIR ;; esac
cd -P -- "$(dirname -- "$self")" >/dev/null
export DEV_DIR=${DEV_DIR:-$PWD/.dev}

. django_starter/processes/venv.sh

any_python
one_at_a_time "$(basename -- "$self")"
prepare_venv requirements.txt
