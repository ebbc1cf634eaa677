#!/bin/bash
# Runs kvm-unit-tests' x86 flats on umbra and prints a table.
#
#   ci/kut.sh DIR [NAME...]     DIR holds *.flat, built elsewhere with --arch=x86_64 or i386
#
# UMBRA names the program (default build/umbra), ACCEL its back end (default soft), KUT_ARGS more
# arguments for it.  Tests whose flat is not in DIR are left out.  A line says PASS, FAIL with the
# first lines that failed, or SKIP with the test's own reason.  Exit status: 0 when nothing failed.
#
# The tests find their machine in the first multiboot module, a text of variables, so that they need
# no fw_cfg.
set -u

umbra=${UMBRA:-build/umbra}
accel=${ACCEL:-soft}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# name, flat, processors, limit in seconds, arguments of the test
tests() {
	cat <<'TABLE'
smptest             smptest     2  30
smptest3            smptest     3  30
vmexit_cpuid        vmexit      1  60 cpuid
vmexit_mov_from_cr8 vmexit      1  60 mov_from_cr8
vmexit_mov_to_cr8   vmexit      1  60 mov_to_cr8
vmexit_inl_pmtimer  vmexit      1  60 inl_from_pmtimer
vmexit_ipi          vmexit      2  60 ipi
vmexit_ipi_halt     vmexit      2  60 ipi_halt
vmexit_ple          vmexit      1  60 ple_round_robin
vmexit_cr0_wp       vmexit      2  60 toggle_cr0_wp
vmexit_cr4_pge      vmexit      2  60 toggle_cr4_pge
vmexit_tscdeadline  vmexit      1  60 tscdeadline
access              access_test 1 600
smap                smap        1  30
pku                 pku         1  30
pks                 pks         1  30
asyncpf             asyncpf     1  30
emulator            emulator    1  60
eventinj            eventinj    1  30
hypercall           hypercall   1  30
idt_test            idt_test    1  30
memory              memory      1  30
msr                 msr         1  60
port80              port80      1  30
realmode            realmode    1  60
s3                  s3          1  30
setjmp              setjmp      1  30
sieve               sieve       1 120
syscall             syscall     1  30
tsc                 tsc         1  30
tsc_adjust          tsc_adjust  1  30
tsx-ctrl            tsx-ctrl    1  30
xsave               xsave       1  30
rmap_chain          rmap_chain  1 120
umip                umip        1  30
rdpru               rdpru       1  30
la57                la57        1  60
debug               debug       1  60
xapic               apic        2 120
ioapic              ioapic      4  60
init                init        2  60
pcid                pcid        1  30
cmpxchg8b           cmpxchg8b   1  30
taskswitch          taskswitch  1  30
taskswitch2         taskswitch2 1  30
kvmclock_test       kvmclock_test 2 30
pmu                 pmu         1  30
lam                 lam         1  30
TABLE
}

extra_args() {
	case $1 in
	la57) echo "-cpu x86-64-v2,+la57" ;;
	esac
}

# The last line of @1's own summary, or what failed.
verdict() {
	local log=$1 status=$2
	if grep -q '^SKIP\|^SUMMARY.*0 tests.*skip' "$log" && ! grep -q '^FAIL' "$log"; then
		echo "SKIP $(grep -m1 '^SKIP' "$log" | cut -c1-70)"
	elif [ "$status" = 0 ] && ! grep -q '^FAIL' "$log"; then
		echo "PASS $(grep '^SUMMARY' "$log" | tail -1 | cut -c1-70)"
	else
		echo "FAIL status $status; $(grep -m1 '^FAIL' "$log" | cut -c1-70)"
	fi
}

run() {
	local dir=$1 name=$2 flat=$3 cpus=$4 limit=$5 from=$EPOCHREALTIME status
	shift 5
	printf 'NR_CPUS=%s\nMEMSIZE=128\nTEST_DEVICE=1\n' "$cpus" >"$scratch/env"
	# shellcheck disable=SC2046,SC2086
	timeout -k 5 "$limit" "$umbra" -accel "$accel" -kernel "$dir/$flat.flat" -append "$*" \
		-initrd "$scratch/env" -smp "$cpus" -m 128M -gdb none -serial stdio --exit=plain \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -device pc-testdev --on-halt exit:99 -no-reboot \
		$(extra_args "$name") ${KUT_ARGS:-} </dev/null >"$scratch/log" 2>"$scratch/err"
	status=$?
	printf '%-20s %6.1f s  %s\n' "$name" \
		"$(echo "$EPOCHREALTIME - $from" | tr , . | bc)" "$(verdict "$scratch/log" $status)"
	[ -n "${KUT_LOGS:-}" ] && mkdir -p "$KUT_LOGS" &&
		cat "$scratch/log" "$scratch/err" >"$KUT_LOGS/$name.log"
}

main() {
	local dir=${1:?usage: ci/kut.sh DIR [NAME...]} name flat cpus limit args wanted failed=0 line
	shift
	wanted=" $* "
	while read -r name flat cpus limit args; do
		[ -f "$dir/$flat.flat" ] || continue
		[ "$wanted" = "  " ] || [[ $wanted == *" $name "* ]] || continue
		# shellcheck disable=SC2086
		line=$(run "$dir" "$name" "$flat" "$cpus" "$limit" $args)
		echo "$line"
		[[ $line == *" FAIL "* ]] && failed=1
	done < <(tests)
	return $failed
}

main "$@"
