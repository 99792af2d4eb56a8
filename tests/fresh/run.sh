#!/bin/bash
# Follows the README on machines that have nothing: fresh roots of Debian 12 and 13.
#
#   tests/fresh/run.sh [RELEASE...]     default: bookworm trixie
#
# As root, with debootstrap. In each root the packages that README.md names are installed, and an
# ordinary user without a locale gets a clean checkout of HEAD in a folder whose name has a space and
# an umlaut, sets up, runs the demo, verifies a machine, builds a bitstream and passes the tests of
# the RTL. Mirrors, proxies and certificates are those of this machine's apt and pip.
#
#   FRESH_FOLDER   roots, packages and logs (default: /var/tmp/pilaster-fresh). What was downloaded
#                  stays there for the next run; a root is made anew for each.
#   FRESH_TESTS    what `make test` runs there (default: the RTL's quick tests; `tests` for all)
#   FRESH_KEEP     if set, roots stay for a look
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
releases=("$@")
((${#releases[@]})) || releases=(bookworm trixie)
folder=${FRESH_FOLDER:-/var/tmp/pilaster-fresh}
tests=${FRESH_TESTS:-tests/rtl/components/test_machine.py tests/rtl/components/test_memory.py \
tests/rtl/components/test_pipeline.py tests/rtl/test_axi_stream.py tests/rtl/test_builds.py \
tests/rtl/test_export.py tests/rtl/test_lint.py tests/rtl/test_names.py \
tests/rtl/test_build_cache.py tests/rtl/test_surroundings.py}
home=/home/fresh
project="$home/Pilaster für alle"
mounts=()
summary=()
failed=0

die() {
    echo "test-fresh: $*" >&2
    exit 2
}

unmount() {
    local at
    for ((at = ${#mounts[@]} - 1; at >= 0; at--)); do
        umount -l "${mounts[at]}" || true
    done
    mounts=()
}
trap unmount EXIT

# attach SOURCE WHERE MOUNT-OPTIONS...
attach() {
    mkdir -p "$2"
    mount "${@:3}" "$1" "$2"
    mounts+=("$2")
}

# Variables by which a user tells programs where the network is.
network() {
    env | grep -E '^(PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE=|[a-z]+_proxy=|[A-Z]+_PROXY=)' || true
}

# A packed root of a release, made once. What apt of this machine calls Debian is its mirror.
base() {
    local packed=$folder/$1.tar draft=$folder/$1.draft log=$folder/$1.debootstrap.log mirror
    [ ! -e "$packed" ] || return 0
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
        sed -n 's/^Debian Debian //p' | head -n 1)
    rm -rf "$draft"
    debootstrap --variant=minbase "$1" "$draft" ${mirror:+"$mirror"} >"$log" 2>&1 ||
        die "debootstrap of $1 failed: $log"
    tar -C "$draft" -cf "$packed.draft" .
    mv "$packed.draft" "$packed"
    rm -rf "$draft"
}

# Give a root this machine's way to packages of Debian.
connect_apt() {
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump Acquire | grep -E '^Acquire::(https?|ftp|Retries|Check-)' \
        >"$root/etc/apt/apt.conf.d/90fresh" || true
    cp -a /etc/apt/auth.conf* "$root/etc/apt/" 2>/dev/null || true
}

# Give a root this machine's way to PyPI.
connect_pip() {
    local path
    python3 - "$root/etc/pip.conf" <<'PYTHON'
import configparser, os, sys
settings = configparser.RawConfigParser()
places = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf"]
settings.read([*map(os.path.expanduser, places), os.environ.get("PIP_CONFIG_FILE", "")])
with open(sys.argv[1], "w") as file:
    settings.write(file)
PYTHON
    # What these settings name lies where it lies here; the files of an index lie beside it.
    while read -r path; do
        if [ -d "$path" ]; then
            [ -e "$root$path" ] || attach "$path" "$root$path" --bind -o ro
        elif [ -f "$path" ]; then
            mkdir -p "$root$(dirname "$path")"
            cp -L "$path" "$root$path"
        fi
    done < <({ cat "$root/etc/pip.conf"; network; } | sed -E 's,file://(/[^ ]*)/[^/ ]+/?,\1,g' |
        grep -oE '(^|[ =])/[^ ]+' | sed 's,^[^/],,' | sort -u)
}

# step NAME COMMAND...: run it into the log, and note how it went.
step() {
    local name=$1 start=$SECONDS verdict=passed
    shift
    printf '\n===== %s: %s\n' "$release" "$name" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null || verdict=FAILED
    [ "$verdict" = passed ] || failed=1
    summary+=("$(printf '%-10s %-34s %-7s %6d s' "$release" "$name" "$verdict" $((SECONDS - start)))")
    echo "${summary[-1]}"
}

as_root() {
    chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive "${variables[@]}" "$@"
}

as_user() {
    chroot --userspec=fresh:fresh "$root" /usr/bin/env -i HOME="$home" PATH=/usr/bin:/bin \
        "${variables[@]}" /bin/bash -c "cd \"$project\" && $1"
}

try() {
    release=$1 root=$folder/$1.root log=$folder/$1.log
    : >"$log"
    base "$release"
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" -xf "$folder/$release.tar"
    attach proc "$root/proc" -t proc
    attach /dev "$root/dev" --rbind
    attach "$folder/$release.packages" "$root/var/cache/apt/archives" --bind
    connect_apt
    as_root useradd --create-home --shell /bin/bash fresh
    mkdir -p "$root$project" "$root$home/.cache"
    git -C "$here" archive HEAD | tar -C "$root$project" -x
    as_root chown -R fresh:fresh "$home"
    attach "$folder/pip" "$root$home/.cache/pip" --bind
    as_root chown -R fresh:fresh "$home/.cache/pip"

    step "apt install" as_root sh -c "apt-get update && apt-get install -y --no-install-recommends $packages"
    connect_pip
    step "make demo" as_user "make demo"
    step "make test" as_user "make test TESTS='$tests'"
    step "pilaster verify" as_user ".venv/bin/pilaster verify digits"
    step "pilaster bitstream" as_user ".venv/bin/pilaster bitstream digits --board icebreaker --out bits"
    step "pilaster host --simulate" as_user ".venv/bin/pilaster host bits --simulate --images 1"

    unmount
    [ -n "${FRESH_KEEP:-}" ] || rm -rf --one-file-system "$root"
}

[ "$(id -u)" = 0 ] || die "needs root, for debootstrap and chroot: sudo make test-fresh"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt install debootstrap"
packages=$(sed -n 's/^apt install //p' "$here/README.md")
[ -n "$packages" ] || die "README.md names no packages to install"
mapfile -t variables < <(network)
for release in "${releases[@]}"; do
    mkdir -p "$folder/$release.packages" "$folder/pip"
    try "$release"
done

printf '\n%s\n\n' "test-fresh of $(git -C "$here" describe --always --dirty): $packages"
printf '%s\n' "${summary[@]}"
for release in "${releases[@]}"; do
    sed -n "s/^=* *\([0-9][0-9]* \(passed\|failed\).*[^=]\)=*$/$release: \1/p" "$folder/$release.log"
    echo "$release: all that was said: $folder/$release.log"
done
exit $failed
