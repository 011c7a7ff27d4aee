# shellcheck shell=bash
# Installs Debian packages that are missing; sourced by the scripts that need some.
# Works as root, or as a user who may use sudo. Says what it installs and does nothing when all is there.

# Runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -- "$@"
    else
        echo "Cannot run as root: $*" >&2
        echo "Run this script as root, or install sudo." >&2
        return 1
    fi
}

# Prints those of the named packages that are not installed. A name without an architecture means this machine's own.
apt_missing() {
    local package own
    own=$(dpkg --print-architecture)
    for package in "$@"; do
        if ! dpkg-query -W -f='${db:Status-Status} ${Architecture}\n' "$package" 2>/dev/null |
            grep -qxE "installed (all|$([[ $package == *:* ]] && echo "${package#*:}" || echo "$own"))"; then
            echo "$package"
        fi
    done
}

# Refreshes the package lists, once per run.
apt_refresh() {
    if [ -z "${APT_REFRESHED:-}" ]; then
        as_root apt-get update -qq
        APT_REFRESHED=yes
    fi
}

# Installs those of the named packages that are missing.
apt_ensure() {
    local missing
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "This is not a Debian system. Install the counterparts of these Debian packages by hand: $*" >&2
        return 1
    fi
    mapfile -t missing < <(apt_missing "$@")
    if [ "${#missing[@]}" -eq 0 ]; then
        return 0
    fi
    echo "Installing Debian packages: ${missing[*]}"
    apt_refresh
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
        echo "Could not install: ${missing[*]}" >&2
        return 1
    fi
}
