#!/usr/bin/env bash
# Install the Debian packages that some tests compare with. Where that is impossible it says why, and those tests skip with a reason.
set -u
packages=(etcd-server etcd-client haproxy)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "not installed: ${missing[*]} (needs apt-get and root); the tests that compare with them skip"
  exit 0
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if apt-get update >"$log" 2>&1 && apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
  echo "installed: ${missing[*]}"
else
  echo "cannot install ${missing[*]}: $(tail -1 "$log"); the tests that compare with them skip"
fi
rm -f "$log"
