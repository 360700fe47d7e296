#!/usr/bin/env bash
# Rehearses the container of ../Containerfile without one: a user without name or home, a root that is read-only, no
# network, one small folder that can be written. Needs root and util-linux, and a Python that other users may read:
#
#     sudo [EQUIBENCH=/opt/equibench/bin/equibench] studies/container.sh [SUITE]
#
# Runs the suite, repeats the command, reports, cites, and says whether each ended as it should.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare --mount --net bash "$0" inside "${1:-smoke}" "${EQUIBENCH:-$here/.venv/bin/equibench}"
fi
program=$3
mount --make-rprivate /
mount -t tmpfs -o size=200m,mode=1777 tmpfs /tmp
mount -o remount,bind,ro /
cd /
equibench() {
    local expected=$1
    shift
    setpriv --reuid=54321 --regid=54321 --clear-groups env -i PATH=/usr/bin:/bin "$program" "$@" &&
        code=0 || code=$?
    echo "-> $code"
    [ "$code" = "$expected" ] || { echo "equibench $* ended with $code, not $expected"; exit 1; }
}
equibench 0 doctor
equibench 0 run "$2" --out /tmp/results
equibench 0 run "$2" --out /tmp/results
equibench 0 status /tmp/results
equibench 0 report /tmp/results --out /tmp/report
equibench 0 cite bits_per_dim vae --results /tmp/results
equibench 2 run "$2" --out /results
if [ -n "$(find /tmp -name '*.partial')" ]; then echo "files were left unfinished"; exit 1; fi
echo "all as it should be"
