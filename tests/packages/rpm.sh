# shellcheck shell=bash
# What a Debian without any rpm provides to one; sourced.

# Prints what the libraries in folder $1 provide, as rpm calls it. Of newer versions than Enterprise Linux 9 has (glibc
# 2.34, OpenSSL 3.0) nothing is said: a program that needs them does not install there.
library_provides() {
    find "$1" -maxdepth 1 -name '*.so*' | /usr/lib/rpm/elfdeps --provides |
        grep -vE '\((GLIBC_2\.(3[5-9]|[4-9][0-9])|GLIBC_ABI_.*|OPENSSL_3\.[1-9].*)\)' | sort -u
}

# Prints the paths of the programs in root $1.
programs() {
    find "$1/usr/bin" "$1/usr/sbin" "$1/bin/" "$1/sbin/" -maxdepth 1 -executable ! -type d -printf "%p\n" |
        sed "s|^$1||; s|//|/|" | grep -xE '[A-Za-z0-9/._+-]+'
}

# Makes in folder $3 the rpm that says what root $1 has for programs with the libraries of GNU's architecture $2.
make_stand_in() {
    local package
    mkdir -p "$3"
    {
        printf '%s\n' 'Name: debian' 'Version: 12' 'Release: 1' 'Summary: What is there already' 'License: None' \
            'BuildArch: noarch' 'AutoReqProv: no'
        library_provides "$1/usr/lib/$2" | sed 's/^/Provides: /'
        programs "$1" | sed 's/^/Provides: /'
        # Of the dynamic loader it is their glibc's own package that says so.
        echo 'Provides: rtld(GNU_HASH)'
        # Those that are called the same everywhere.
        for package in ca-certificates systemd; do
            grep -qx "Package: $package" "$1/var/lib/dpkg/status" && echo "Provides: $package"
        done
        printf '%s\n' '%description' 'Stands in for the packages of a distribution that has rpms.' '%files'
    } >"$3/debian.spec"
    rpmbuild -bb --quiet --define "_topdir $3/build" --define "_rpmdir $3" --define '_rpmfilename debian.rpm' "$3/debian.spec" \
        >"$3/log" 2>&1 || { cat "$3/log" >&2 && return 1; }
}
