# Functions shared by the scripts; sourced, never run. Compatible with bash 3.2 (macOS) and later.
# shellcheck shell=bash

set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for the scripts that source this
tools="$project/.tools"

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Prints the folder with the newest PostgreSQL server programs (14 or later).
find_postgres() {
  local folder program version best=0 found=
  for folder in \
    "$(dirname "$(command -v postgres 2>/dev/null || echo /)")" \
    /usr/lib/postgresql/*/bin /usr/libexec/postgresql* /usr/pgsql-*/bin \
    /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/local/pgsql/bin; do
    for program in postgres initdb pg_ctl psql; do [ -x "$folder/$program" ] || continue 2; done
    version=$("$folder/postgres" --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+).*/\1/') || continue
    if [ "${version:-0}" -ge 14 ] && [ "$version" -gt "$best" ]; then
      best=$version
      found=$folder
    fi
  done
  [ -n "$found" ] && printf '%s\n' "$found"
}

# Prints the Redis server; Valkey works too.
find_redis() { command -v redis-server || command -v valkey-server; }

# Prints PgBouncer, which Debian keeps outside the PATH of ordinary users.
find_pgbouncer() { command -v pgbouncer || { [ -x /usr/sbin/pgbouncer ] && printf '%s\n' /usr/sbin/pgbouncer; }; }

# Prints Chromium, for the tests of the console in a browser.
find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# Node with npm, in the versions that the console and @redocly/cli support.
node_is_usable() {
  have npm && node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1);
  ' 2>/dev/null
}

# True while the process runs; a zombie counts as dead.
alive() {
  kill -0 "$1" 2>/dev/null || return 1
  [ -r "/proc/$1/stat" ] || return 0
  case "$(cat "/proc/$1/stat" 2>/dev/null || true)" in
    '' | *') Z '*) return 1 ;;
  esac
}

# wait_until SECONDS COMMAND...: repeats the command until it succeeds; fails at the deadline.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

dead() { ! alive "$1"; }

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Sets `port` to a free port below the range that systems use for outgoing connections.
pick_port() {
  port=$((15000 + RANDOM % 15000))
  while taken "$port"; do port=$((15000 + RANDOM % 15000)); done
}

# Replaces this (sub)shell by the command as the leader of its own process group, so that a Ctrl-C in the terminal reaches
# only the script, which stops the command in the right order.
exec_in_own_group() {
  trap - INT QUIT TERM HUP
  if have setsid; then exec setsid "$@"; fi
  if have perl; then exec perl -e 'setpgrp(0, 0); exec { $ARGV[0] } @ARGV or exit 127' "$@"; fi
  exec "$@"
}

# Prints cargo's target folder, which the environment or the user's cargo configuration may change.
target_directory() {
  cargo metadata --format-version 1 --no-deps --offline | sed -E 's/.*"target_directory":"([^"]*)".*/\1/'
}
