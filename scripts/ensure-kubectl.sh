#!/usr/bin/env bash
# Sees to it that there is a kubectl: any will do; where there is none, Debian's is installed.
set -euo pipefail
command -v kubectl >/dev/null 2>&1 && exit 0
command -v apt-get >/dev/null 2>&1 || { echo "skiff: install kubectl to run the end-to-end tests" >&2; exit 1; }
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
echo "skiff: installing kubectl (apt-get install kubernetes-client)" >&2
$sudo apt-get update -qq >&2
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends kubernetes-client >/dev/null
