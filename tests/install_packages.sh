#!/bin/sh
# Debian packages that some tests want; `make test` calls this. Where apt-get is impossible those tests are
# skipped, and both this script and the tests say so.
#
# The reverse proxies come with services, which Debian starts at once and at every boot. The tests start their own
# processes, so nothing is started here, and what was not installed before is switched off for the next boot too.
packages='chromium curl iproute2 faketime nginx apache2 haproxy openssl strace php-fpm uwsgi-core uwsgi-plugin-python3 dnsmasq-base rsyslog postgresql'

policy=/usr/sbin/policy-rc.d
aside=/usr/sbin/policy-rc.d.before-portico

list_missing() {
    for package in $packages; do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
    done
}

# What Debian asks before it starts or stops a service: 101 is no. An administrator's own answer comes back afterwards.
forbid_services() {
    if [ -e "$policy" ] && [ ! -e "$aside" ]; then
        $sudo mv "$policy" "$aside" 2>/dev/null || return
    fi
    trap 'allow_services' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null 2>&1 && $sudo chmod 755 "$policy"
}

allow_services() {
    trap - EXIT
    if [ -e "$aside" ]; then
        $sudo mv "$aside" "$policy"
    else
        $sudo rm -f "$policy"
    fi 2>/dev/null
}

install() {
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends \
        --option DPkg::Lock::Timeout=120 $1 </dev/null >/dev/null 2>&1
}

[ -z "$(list_missing)" ] && exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo='sudo --non-interactive'
# Two runs at once would take each other's policy for the administrator's.
if command -v flock >/dev/null && [ -z "$PORTICO_INSTALLING" ]; then
    PORTICO_INSTALLING=1 exec flock "${TMPDIR:-/tmp}" "$0"
fi
missing=$(list_missing)
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null && forbid_services; then
    install "$missing" || { $sudo apt-get update --quiet --quiet >/dev/null 2>&1 && install "$missing"; }
    for package in $missing; do
        [ -e "/etc/init.d/$package" ] && $sudo update-rc.d "$package" disable >/dev/null 2>&1
    done
    allow_services
fi
missing=$(list_missing)
[ -z "$missing" ] && exit 0
echo "!!! these Debian packages could not be installed, the tests that want them are skipped:$missing" >&2
