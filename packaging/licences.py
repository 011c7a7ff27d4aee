#!/usr/bin/env python3
"""Prints the licences of every crate that is linked into the program for target $1, each text once.

Most of them ask that their text goes along with the program."""

import json
import pathlib
import subprocess
import sys

NAMES = ("licen", "copying", "notice", "unlicense")


def linked(target):
    """The packages that are linked in: neither those of tests nor those that only run while it is built."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, waiting = set(), [root]
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    return sorted((packages[id] for id in seen), key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The licence texts that a package brings, those of what it has taken in from elsewhere (jemalloc, say) among them."""
    folder = pathlib.Path(package["manifest_path"]).parent
    for path in sorted(folder.rglob("*"), key=lambda path: (len(path.parts), path)):
        if path.is_file() and path.name.lower().startswith(NAMES):
            yield path.read_text(encoding="utf-8", errors="replace").strip()


def main():
    packages = linked(sys.argv[1])
    users = {}
    print("owncast-herald is linked with these crates:\n")
    for package in packages:
        licence = package["license"] or "see its text below"
        print(f"  {package['name']} {package['version']}: {licence}")
        for text in texts(package):
            # The same text differs in its blanks only.
            users.setdefault(" ".join(text.split()), (text, []))[1].append(package["name"])
    for text, names in users.values():
        print(f"\n{'=' * 100}\n{', '.join(sorted(set(names)))}:\n\n{text}")


main()
