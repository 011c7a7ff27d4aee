# shellcheck shell=bash
# A clean Debian with systemd in a container of its own, without any network but its loopback; sourced.

# Makes $1, the packed root of a Debian with what the packages need, unless it is there.
ensure_root() {
    [ -e "$1" ] && return
    apt_ensure mmdebstrap systemd-container
    as_root mmdebstrap --quiet --format=tar --variant=apt --include=systemd,systemd-sysv,dbus,libssl3,ca-certificates,nginx-light,rpm \
        bookworm "$1.new"
    mv "$1.new" "$1"
}

# Unpacks the root $1 into the new folder $2 and boots it. Sets $root, $container and $leader.
boot() {
    root=$2
    mkdir -p "$root"
    tar -C "$root" -xf "$1"
    printf 'server\n' >"$root/etc/hostname"
    systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$root" --boot --console=pipe \
        </dev/null >"$root.log" 2>&1 &
    container=$!
    eventually "the container's systemd" is_up
}

# A process that only makes the container's first one may be found before that.
is_up() {
    leader=$(pgrep -P "$container" | head -n 1) && [ -n "$leader" ] && inside systemctl is-system-running --quiet
}

# Ends the container that runs, if one does: at first with order, since systemd-nspawn halts it on SIGTERM.
power_off() {
    local deadline=$((SECONDS + 20))
    [ -n "${container:-}" ] || return 0
    # A halt stops all processes for a moment, nsenter would stop along with its own, and nothing ever ends.
    [ -z "${world:-}" ] || pkill -KILL -P "$world" || true
    kill "$container" 2>/dev/null || true
    while kill -0 "$container" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.2
    done
    # With its first process all others end.
    [ -z "${leader:-}" ] || kill -KILL "$leader" 2>/dev/null || true
    wait "$container" 2>/dev/null || true
    container='' leader='' world=''
}

# Runs a command in the container, as root.
inside() {
    nsenter --target "$leader" --all -- /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root \
        DEBIAN_FRONTEND=noninteractive ${purge:+OWNCAST_HERALD_PURGE=$purge} "$@"
}

# Starts the world around the agents in the container; its arguments are those of world.rs. It hears on file descriptor
# $world_in, and answers on $world_out.
start_world() {
    coproc WORLD { exec nsenter --target "$leader" --all -- /usr/local/bin/world "$@"; }
    # shellcheck disable=SC2034 # For those who speak with it.
    world_out=${WORLD[0]} world_in=${WORLD[1]} world=$WORLD_PID
}

# Waits until a command succeeds, for a minute and a half at most: $1 says what for.
eventually() {
    local what=$1 deadline=$((SECONDS + 90))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -gt "$deadline" ]; then
            fail "waited in vain for $what"
        fi
        sleep 0.2
    done
}

fail() {
    if [ -n "${container:-}" ]; then
        echo "---- what the agents have logged last ----" >&2
        inside journalctl --no-pager --lines=40 --output=short-precise --unit='owncast-herald*' >&2 || true
        echo "----" >&2
    fi
    echo "FAILED: $*" >&2
    exit 1
}
