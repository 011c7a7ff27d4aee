# shellcheck shell=bash
# Packages for this machine's Python, in folders of their own; sourced after packaging/apt.sh.

# Puts the packages that the requirements file $1 lists by hash into folder $2, unless they are there already. pip takes
# them from where this machine's settings say.
pip_ensure() {
    local stamp
    if ! python3 -m pip --version >/dev/null 2>&1; then
        apt_ensure python3-pip
    fi
    stamp=$({ python3 --version && uname -m && cat "$1"; } | sha256sum)
    if [ "$(cat "$2/stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    echo "Installing the Python packages of $1 into $2"
    rm -rf "$2"
    if ! python3 -m pip install --quiet --root-user-action=ignore --no-deps --require-hashes --only-binary :all: \
        --target "$2" --requirement "$1"; then
        echo "Could not install the Python packages of $1." >&2
        return 1
    fi
    echo "$stamp" >"$2/stamp"
}
