#!/usr/bin/env bash
# Installs what building owncast-herald needs beside Rust: a C compiler and make (the bundled SQLite and allocator), and OpenSSL's headers.
set -euo pipefail

# shellcheck source=packaging/apt.sh
source "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

apt_ensure gcc make libc6-dev pkg-config libssl-dev

if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing: install it with rustup (version 1.95 or newer), then run this again." >&2
    exit 1
fi
