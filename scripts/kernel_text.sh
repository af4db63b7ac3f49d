#!/usr/bin/env bash
# Long real text from the Debian package of the Linux kernel's sources: documentation and C code,
# one document a directory, so that what a file refers to often stands earlier in its document.
# Translations and generated files (tables of numbers) are left out; whole directories are held out.
#
#   scripts/kernel_text.sh FOLDER [PACKAGE]      (default package: linux-source-6.1)
#
# Writes FOLDER/train/*.txt and FOLDER/held_out/*.txt, about 160 MB and 3.5 MB. Needs apt, dpkg-deb,
# tar, xz and python3, and 1.5 GB of disk while it works.
set -euo pipefail

out=${1:?usage: scripts/kernel_text.sh FOLDER [PACKAGE]}
package=${2:-linux-source-6.1}
train=(Documentation kernel mm lib block ipc init io_uring virt fs net security crypto sound/core
  drivers/base drivers/char drivers/hid drivers/i2c drivers/input drivers/md drivers/mtd drivers/nvme
  drivers/pci drivers/usb)
held_out=(Documentation/scheduler Documentation/virt Documentation/block Documentation/PCI
  Documentation/timers Documentation/locking block io_uring)

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d "$out/unpacking.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download "$package")
dpkg-deb -x "$work"/*.deb "$work/package"
mkdir "$work/tree"
tar -C "$work/tree" --strip-components=1 -xf "$work"/package/usr/src/linux-source-*.tar.xz
rm -rf "$work/package"

python3 - "$work/tree" "$out" "${held_out[*]}" "${train[@]}" <<'PYTHON'
import pathlib, shutil, sys

tree, out = map(pathlib.Path, sys.argv[1:3])
held_out, train = sys.argv[3].split(), sys.argv[4:]


def is_table(text):
    """A file with many digits is a table of numbers, whoever or whatever wrote it."""
    return sum(map(text.count, "0123456789")) * 8 > len(text)


for part in "train", "held_out":
    shutil.rmtree(out / part, ignore_errors=True)
    (out / part).mkdir()
folders = set()
for top in train:
    folders.update(path for path in (tree / top).rglob("*") if path.is_dir())
    folders.add(tree / top)
for folder in sorted(folders):
    name = folder.relative_to(tree).as_posix()
    if "/translations" in name:
        continue
    document = ""
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in (".rst", ".txt", ".c", ".h"):
            text = file.read_text(encoding="utf-8", errors="replace")
            if text and not is_table(text):
                document += f"==> {file.relative_to(tree)} <==\n{text}\n"
    if len(document) < 4096:  # an index page or a stray header
        continue
    part = "held_out" if any((name + "/").startswith(h + "/") for h in held_out) else "train"
    (out / part / (name.replace("/", "-") + ".txt")).write_text(document, encoding="utf-8")
PYTHON
du -sh "$out/train" "$out/held_out"
