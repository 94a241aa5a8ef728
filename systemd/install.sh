#!/bin/sh
# Installs or removes enrolld as a service; `make install` and `make uninstall` call it with their settings:
#   DESTDIR (a staging root), PREFIX (units, commands), OPT (the private environment), PYTHON, WHEELS
set -eu
here=$(dirname "$0")
root=$DESTDIR$OPT
lib=$DESTDIR$PREFIX/lib
etc=$DESTDIR/etc/enrolld
bin=$DESTDIR$PREFIX/bin
sockets="enrolld.socket enrolld-join.socket enrolld-admin.socket"

fail() {
    echo "install: $*" >&2
    exit 1
}

# Whether this machine itself is meant, and runs systemd.
is_live() {
    [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]
}

check() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "enrolld needs Python 3.11 or later: make install PYTHON=/usr/bin/python3.."
    case $("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))') in
        /root/* | /home/*)
            [ -n "$DESTDIR" ] || fail "the service cannot use $PYTHON, which is in a home directory: make install PYTHON=/usr/bin/python3" ;;
    esac
    ls "$WHEELS"/enrolld-*.whl >/dev/null 2>&1 || fail "there is no wheel of enrolld in $WHEELS: make wheels"
    [ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || fail "this takes root (or DESTDIR=..)"
}

# Made beside the old one and then put in its place, so that a failure leaves what was there.
install_environment() {
    rm -rf "$root.new" "$root.old"
    mkdir -p "$(dirname "$root")"
    "$PYTHON" -m venv "$root.new"
    "$root.new/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --no-index --find-links "$WHEELS" enrolld
    # The environment is used at another place than it was made at.
    grep -rlI "$root.new" "$root.new/bin" "$root.new/pyvenv.cfg" | xargs sed -i "s|$root.new|$OPT|g"
    # The service cannot write there: compiled now, but for scapy, which it does not load.
    "$root.new/bin/python" -m compileall -q -j 0 -x '/(scapy|pip|setuptools)/' -s "$root.new" -p "$OPT" \
        "$root.new/lib" || true # templates of others do not compile
    mkdir -p "$root.new/share/enrolld"
    cp -RL "$here/../config" "$root.new/share/enrolld/examples"
    install -m 0644 "$here/scan.conf" "$here/raw.conf" "$root.new/share/enrolld/"
    chmod -R u=rwX,go=rX "$root.new"
    [ ! -e "$root" ] || mv "$root" "$root.old"
    mv "$root.new" "$root"
    rm -rf "$root.old"
}

install_files() {
    install -d -m 0755 "$bin" "$lib/systemd/system" "$lib/sysusers.d" "$lib/tmpfiles.d"
    for name in enrolld enrollctl; do
        ln -sfn "$OPT/bin/$name" "$bin/$name"
    done
    for unit in enrolld.service $sockets; do
        sed "s|/opt/enrolld/|$OPT/|g" "$here/$unit" >"$lib/systemd/system/$unit"
        chmod 0644 "$lib/systemd/system/$unit"
    done
    install -m 0644 "$here/enrolld.sysusers" "$lib/sysusers.d/enrolld.conf"
    install -m 0644 "$here/enrolld.tmpfiles" "$lib/tmpfiles.d/enrolld.conf"
}

# What is there already is the operator's.
install_configuration() {
    install -d -m 0755 "$etc" "$etc/products.d" "$etc/enrolld.toml.d"
    [ -d "$etc/secrets" ] || install -d -m 0700 "$etc/secrets"
    [ -e "$etc/enrolld.toml" ] || install -m 0644 "$here/../config/enrolld.toml" "$etc/enrolld.toml"
}

case ${1:-} in
install)
    check
    install_environment
    install_files
    install_configuration
    if is_live; then
        systemd-sysusers "$lib/sysusers.d/enrolld.conf"
        systemd-tmpfiles --create "$lib/tmpfiles.d/enrolld.conf"
        systemctl daemon-reload
        systemctl try-restart enrolld.service
    fi
    echo "installed: $OPT, units in $PREFIX/lib/systemd/system, configuration in /etc/enrolld (kept if it was there)"
    echo "next: edit /etc/enrolld/enrolld.toml, enrollctl doctor, systemctl enable --now enrolld"
    ;;
uninstall)
    if is_live; then
        systemctl disable --quiet --now enrolld.service $sockets 2>/dev/null || true # not there: nothing to stop
    fi
    rm -rf "$root" "$root.new" "$root.old"
    rm -f "$bin/enrolld" "$bin/enrollctl" "$lib/sysusers.d/enrolld.conf" "$lib/tmpfiles.d/enrolld.conf"
    for unit in enrolld.service $sockets; do
        rm -f "$lib/systemd/system/$unit"
    done
    if is_live; then systemctl daemon-reload; fi
    echo "removed; /etc/enrolld, /var/lib/enrolld, the user _enrolld and the groups are kept"
    ;;
*)
    fail "install or uninstall"
    ;;
esac
