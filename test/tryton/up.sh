#!/usr/bin/env bash
# Starts a Tryton ERP on SQLite, on loopback, from an empty directory.
#
# usage: up.sh WORKDIR PORT [SEED_JSON]
#
# Prints the facts a client needs (WORKDIR/facts.json) when the server answers, and
# leaves it running; its pid is in WORKDIR/trytond.pid. Packages and an empty database
# are kept in TRYTON_CACHE between runs. Everything else goes to stderr.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: $0 WORKDIR PORT [SEED_JSON]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
port=$2
seed=$(realpath "${3:-$here/seed.json}")
release=8.2
database=erp
cache=${TRYTON_CACHE:-${STOCKWEAVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stockweave}}/tryton-$release
say() { echo "tryton: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two test runs may start at once

python=$cache/venv/bin/python
if [ ! -e "$cache/venv/complete" ]; then
  say "installing packages into $cache"
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check \
    "trytond==$release.*" "trytond-stock==$release.*" "proteus==$release.*" >&2
  touch "$cache/venv/complete"
fi

modules=$("$python" -c 'import os, trytond; print(os.path.join(os.path.dirname(trytond.__file__), "modules"))')
rm -rf "$modules/stockweave_ref"
cp -r "$here/module/stockweave_ref" "$modules/stockweave_ref"

conf() { # conf FILE DATA_DIR PORT
  cat >"$1" <<CONF
[database]
uri = sqlite://
path = $2
[web]
listen = 127.0.0.1:$3
[password]
length = 4
[session]
timeout = 2592000
CONF
}

# An empty database with the modules in it takes most of the time and depends only on
# the packages and the module, so it is made once.
stamp=$(cat "$here"/module/stockweave_ref/* | sha256sum | cut -c1-16)
if [ ! -e "$cache/empty-$stamp.sqlite" ]; then
  say "making an empty database"
  rm -rf "$cache/make" && mkdir "$cache/make"
  conf "$cache/make/conf" "$cache/make" 1
  echo admin >"$cache/make/password"
  : >"$cache/make/$database.sqlite"
  admin=("$python" "$cache/venv/bin/trytond-admin" -c "$cache/make/conf" -d "$database")
  TRYTONPASSFILE=$cache/make/password "${admin[@]}" --all --email admin@example.org >&2
  "${admin[@]}" --update-modules-list >&2
  "${admin[@]}" -u stock stockweave_ref --activate-dependencies >&2
  mv "$cache/make/$database.sqlite" "$cache/empty-$stamp.sqlite"
  rm -rf "$cache/make"
fi
exec 9>&-

mkdir -p "$work/data"
cp "$cache/empty-$stamp.sqlite" "$work/data/$database.sqlite"
conf "$work/trytond.conf" "$work/data" "$port"
url=http://127.0.0.1:$port
say "seeding from $seed"
"$python" "$here/seed.py" "$database" "$work/trytond.conf" "$seed" "$url" "$work/facts.json" >&2

nohup "$python" "$cache/venv/bin/trytond" -c "$work/trytond.conf" -d "$database" \
  >"$work/trytond.log" 2>&1 </dev/null &
echo $! >"$work/trytond.pid"
ask='{"id":0,"method":"common.server.version","params":[]}'
for _ in $(seq 120); do
  if curl -sf -o /dev/null -H 'Content-Type: application/json' -d "$ask" "$url/rpc/"; then
    say "answers on $url"
    cat "$work/facts.json"
    exit 0
  fi
  kill -0 "$(cat "$work/trytond.pid")" 2>/dev/null || break
  sleep 0.25
done
say "did not start; see $work/trytond.log"
exit 1
