#!/bin/sh
# Tools of the system that `make test-all` uses beside Python packages; installed when they are missing.
set -eu
missing=""
command -v tshark >/dev/null 2>&1 || missing="$missing tshark"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed and not installable here (needs root and apt-get):$missing; what uses it says so"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null && apt-get install -qq -y --no-install-recommends $missing >/dev/null
echo "installed:$missing"
