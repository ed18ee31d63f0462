# shellcheck shell=bash
# Sourced by start_dev.sh, start_all_services.sh and run_tests.sh from the repository's root: a Python, .venv, the
# pinned packages in it.
# bash 3.2 (macOS).

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Run a command in a process group of its own (set -m), so that a signal to this script ends all of it at once.
run() {
  local code=0
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  trap 'kill -- "-$child" 2>/dev/null; exit 130' INT TERM HUP
  wait "$child" || code=$?
  trap - INT TERM HUP
  return "$code"
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Sets $python to the newest Python that the pinned packages are tested with.
find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3 python; do
    if new_enough "$name"; then
      python=$name
      return
    fi
  done
  if command -v python3 >/dev/null 2>&1; then
    fail "$(python3 --version 2>&1) is too old: install Python 3.11, 3.12 or 3.13 and start this again."
  fi
  fail "No Python was found: install Python 3.11, 3.12 or 3.13 and start this again."
}

# Sets $python to that of .venv, or to one that can make it.
any_python() { if new_enough .venv/bin/python; then python=.venv/bin/python; else find_python; fi; }

# one_at_a_time NAME: the only script in $DEV_DIR that runs services, or the end. The kernel holds the lock for this
# process, through the `exec` that follows, and drops it however the process ends: unlike a pid in a file it cannot lie
# after a kill -9. (macOS has no flock command; descriptor 3, because supervisord closes those from 5 on.)
one_at_a_time() {
  local lock=$DEV_DIR/start_dev.lock pid name
  mkdir -p "$DEV_DIR" || fail "$DEV_DIR cannot be written: set DEV_DIR to a folder of yours."
  exec 3>>"$lock"
  "$python" -c 'import fcntl; fcntl.flock(3, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null || {
    { read -r pid && read -r name; } <"$lock" || name=$1
    fail "$name runs already (process $pid): use that one, or stop it with Ctrl-C there or: kill $pid"
  }
  printf '%s\n' $$ "$1" >"$lock"
}

# prepare_venv FILE: .venv with the packages that FILE pins, installed again only when FILE has changed.
# A copy of FILE beside the packages remembers what is installed.
prepare_venv() {
  local wanted=$1 installed=.venv/installed-$1
  if ! new_enough .venv/bin/python; then # none yet, or its Python was removed or replaced
    find_python
    say "Making .venv with $("$python" --version 2>&1) …"
    run "$python" -m venv --clear .venv ||
      fail "$python could not make a virtual environment. On Debian: apt-get install python3-venv"
  fi
  cmp -s "$wanted" "$installed" && return
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
  say "Installing what $wanted pins into .venv (only when that file has changed; about a minute) …"
  rm -f "$installed"
  run .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$wanted" ||
    fail "The packages of $wanted could not be installed: the lines above say why."
  cp "$wanted" "$installed"
}
