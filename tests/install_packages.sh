#!/bin/sh
# Debian packages that some tests want; `make test` calls this. Where apt-get is impossible those tests are
# skipped, and both this script and the tests say so.
packages=faketime
missing=
for package in $packages; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo='sudo --non-interactive'
# shellcheck disable=SC2086
if $sudo apt-get install --yes --quiet --quiet --no-install-recommends $missing >/dev/null 2>&1 ||
    { $sudo apt-get update --quiet --quiet >/dev/null 2>&1 &&
        $sudo apt-get install --yes --quiet --quiet --no-install-recommends $missing >/dev/null 2>&1; }; then
    exit 0
fi
echo "!!! these Debian packages could not be installed, the tests that want them are skipped:$missing" >&2
