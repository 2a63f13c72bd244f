#!/usr/bin/env bash
# hv/ runs while a guest's FPU registers are live: nothing in the machine layer's objects may name an x87, MMX, SSE or AVX register.
# usage: no_fpu.sh LIBBERTH-HV.A      exit 77 (skipped) when the image is not built
set -euo pipefail
lib=$1
[ -e "$lib" ] || { echo "$lib is not built"; exit 77; }
text=$(objdump -d --no-show-raw-insn "$lib")
grep -q '<hv_loop_turn>' <<<"$text" || { echo "$lib: not the machine layer's objects"; exit 1; }
found=$(awk '/^[0-9a-f]+ <.*>:$/ { fn = $2 } /%([xyz]mm|mm[0-7]|st\>)/ { print fn, $0 }' <<<"$text")
if [ -n "$found" ]; then
	echo "FPU registers in hv/:"
	head -20 <<<"$found"
	exit 1
fi
# What hv/ does with the FPU as a block is all there may be: save and restore areas, control words.
other=$(awk '/^[0-9a-f]+ <.*>:$/ { fn = $2 } /^ +[0-9a-f]+:/ && $2 ~ /^(f[a-z0-9]+|v[a-z0-9]+ps|emms)$/ && $2 !~ /^(fxsave64|fxrstor64|fninit|fldcw|fnstcw|fxsave|fxrstor)$/ { print fn, $0 }' <<<"$text")
if [ -n "$other" ]; then
	echo "FPU instructions in hv/:"
	head -20 <<<"$other"
	exit 1
fi
echo "no FPU register or instruction in $(grep -c '^[0-9a-f]* <' <<<"$text") functions"
