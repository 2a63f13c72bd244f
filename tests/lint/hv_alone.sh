#!/usr/bin/env bash
# hv/ reaches nothing outside itself but the instruction decoder: neither the C library (compiled with SSE) nor a layer above, other than host_main.
# usage: hv_alone.sh LIBBERTH-HV.A      exit 77 (skipped) when the image is not built
set -euo pipefail
lib=$1
[ -e "$lib" ] || { echo "$lib is not built"; exit 77; }
defined=$(nm --defined-only -g "$lib" | awk 'NF == 3 { print $3 }' | sort -u)
grep -qx hv_loop_turn <<<"$defined" || { echo "$lib: not the machine layer's objects"; exit 1; }
# Linker script symbols and labels of the start-up code begin with __ or boot_; the decoder's with Zydis or Zyan.
outside=$(nm -u "$lib" | awk 'NF == 2 && $1 == "U" { print $2 }' | sort -u | grep -vxF -f <(printf '%s\n' "$defined" host_main) |
	grep -vE '^(_GLOBAL_OFFSET_TABLE_$|__(boot|text|rodata|data|tdata|tls|init_array|build_id)|Zydis|Zyan)' || true)
if [ -n "$outside" ]; then
	echo "hv/ uses, from outside itself:"
	echo "$outside"
	exit 1
fi
echo "hv/ needs nothing from outside"
