#!/bin/sh
# Prints what a board's folder must have of a PC: its ACPI tables, the memory map that firmware left, and its PCI functions.
# Run it as root under any Linux on that PC, started by the firmware and the loader that will start the image:
#
#     sh dump.sh > my-pc.txt
#
# and give the file to `cargo xtask new-board my-pc.txt --name my-pc`. It needs a shell, od and sed; BusyBox has them.
set -eu

# The byte with this number of those that follow.
byte() {
    shift $(($1 + 1))
    echo "$1"
}

# Where a function's configuration space, given as bytes, has the table of its MSI-X capability (PCI Local Bus Specification 3.0, 6.8.2).
messages() {
    [ $(($(byte 6 "$@") & 16)) -ne 0 ] || return 0
    at=$(($(byte 52 "$@") & 252))
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48; do
        [ "$at" -ge 64 ] || return 0
        if [ "$(byte "$at" "$@")" -eq 17 ]; then
            control=$(($(byte $((at + 2)) "$@") | $(byte $((at + 3)) "$@") << 8))
            low=$(($(byte $((at + 4)) "$@") | $(byte $((at + 5)) "$@") << 8))
            table=$((low | $(byte $((at + 6)) "$@") << 16 | $(byte $((at + 7)) "$@") << 24))
            printf '    msix 0x%x 0x%x 0x%x\n' $((table & 7)) $((table & ~7)) $(((control & 2047) + 1))
            return 0
        fi
        at=$(($(byte $((at + 1)) "$@") & 252))
    done
}

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
    messages $(od -v -A n -t u1 -N 256 "$function/config")
done
echo '# end'
