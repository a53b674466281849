#!/bin/sh
# Prints what a board's folder must have of a PC: its ACPI tables, the memory map that firmware left, and its PCI functions.
# Run it as root under any Linux on that PC, started by the firmware and the loader that will start the image:
#
#     sh dump.sh > my-pc.txt
#
# and give the file to `cargo xtask new-board my-pc.txt --name my-pc`. It needs a shell, od and sed; BusyBox has them.
set -eu

echo '# ACPI tables, memory map and PCI functions (Bulkhead, dump.sh)'
for table in /sys/firmware/acpi/tables/*; do
    [ -f "$table" ] || continue
    echo "$(head -c 4 "$table") @ 0x0000000000000000"
    # As acpidump prints it, without the characters.
    od -v -A x -t x1 "$table" | sed -n 's/^\([0-9a-f]*\) \{1,\}\(..*\)$/    \1: \2/p'
    echo
done
for entry in /sys/firmware/memmap/*; do
    first=$(cat "$entry/start")
    last=$(cat "$entry/end")
    printf '[mem 0x%016x-0x%016x] %s\n' "$first" "$last" "$(cat "$entry/type")"
done
for function in /sys/bus/pci/devices/*; do
    [ -e "$function/resource" ] || continue
    echo "pci ${function##*/} $(cat "$function/vendor") $(cat "$function/device") $(cat "$function/class")"
    head -n 6 "$function/resource" | sed 's/^/    bar /'
done
echo '# end'
