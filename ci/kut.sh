#!/bin/bash
# Runs kvm-unit-tests' x86 flats on umbra and prints a table.
#
#   ci/kut.sh DIR [NAME...]     DIR holds *.flat, built elsewhere with --arch=x86_64 or i386
#
# UMBRA names the program (default build/umbra), ACCEL its back end (default soft), KUT_ARGS more
# arguments for it, KUT_LOGS a folder that keeps what the tests printed, KUT_SLOW a factor for the
# limits (of the clock on the wall).  Tests whose flat is not in DIR are left out.  A line says PASS,
# FAIL with the first line that failed, or SKIP with a reason.  Exit status: 0 when nothing failed.
#
# The tests find their machine in the first multiboot module, a text of variables, so that they need
# no fw_cfg.  vmexit tests go on until 2^30 ticks of the TSC have passed, which in deterministic mode
# are that many instructions.
set -u

umbra=${UMBRA:-build/umbra}
accel=${ACCEL:-soft}
slow=${KUT_SLOW:-1}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# name, flat, processors, limit in seconds, arguments of the test
tests() {
	cat <<'TABLE'
setjmp              setjmp        1  30
cmpxchg8b           cmpxchg8b     1  30
smptest             smptest       2  30
smptest3            smptest       3  30
vmexit_cpuid        vmexit        1 300 cpuid
vmexit_mov_from_cr8 vmexit        1 300 mov_from_cr8
vmexit_mov_to_cr8   vmexit        1 300 mov_to_cr8
vmexit_inl_pmtimer  vmexit        1 300 inl_from_pmtimer
vmexit_ple          vmexit        1 300 ple_round_robin
vmexit_ipi          vmexit        2 300 ipi
vmexit_ipi_halt     vmexit        2 300 ipi_halt
vmexit_cr0_wp       vmexit        2 300 toggle_cr0_wp
vmexit_cr4_pge      vmexit        2 300 toggle_cr4_pge
vmexit_tscdeadline  vmexit        1 300 tscdeadline
access              access_test   1 900
smap                smap          1  30
pku                 pku           1  30
pks                 pks           1  30
umip                umip          1  30
la57                la57          1  60
pcid-disabled       pcid          1  30
debug               debug         1  60
emulator            emulator      1  60
eventinj            eventinj      1  30
idt_test            idt_test      1  30
syscall             syscall       1  30
taskswitch          taskswitch    1  30
taskswitch2         taskswitch2   1  30
realmode            realmode      1  60
memory              memory        1  30
rmap_chain          rmap_chain    1 120
sieve               sieve         1 300
msr                 msr           1  60
xsave               xsave         1  30
rdpru               rdpru         1  30
tsc                 tsc           1  30
tsc_adjust          tsc_adjust    1  30
tscdeadline_latency tscdeadline_latency 1 60
xapic               apic          2 300
ioapic              ioapic        4  60
port80              port80        1  30
cet                 cet           1  30
lam                 lam           1  30
tsx-ctrl            tsx-ctrl      1  30
pmu                 pmu           1  30
kvmclock_test       kvmclock_test 2  30
asyncpf             asyncpf       1  30
hypercall           hypercall     1  30
init                init          2  60
s3                  s3            1  30
TABLE
}

extra_args() {
	case $1 in
	la57) echo "-cpu x86-64-v2,+la57" ;;
	esac
}

# What a test needs and this machine does not have; nothing when it can run.
lacks() {
	case $1 in
	hypercall) echo "needs the hypercalls of KVM" ;;
	init) echo "needs firmware: a reset vector that looks at the shutdown code in CMOS" ;;
	s3) echo "needs ACPI tables and a clock that wakes the machine" ;;
	realmode) command -v gdb >/dev/null || echo "needs gdb, which does here what firmware does" ;;
	esac
}

# With the test device these two ask for what KVM alone does: SYSCALL in compatibility mode on a
# processor of Intel's, and its hypercall for IPIs.
has_test_device() {
	case $1 in
	syscall | xapic) echo 0 ;;
	*) echo 1 ;;
	esac
}

# The tests of real mode want the interrupt controllers as firmware leaves them: vectors from 0x08
# and 0x70.  A debugger puts the few instructions into memory that set them so, steps over them, and
# lets the test begin.
needs_firmware() {
	[ "$1" = realmode ]
}

firmware() {
	cat >"$scratch/firmware.gdb" <<'GDB'
set confirm off
set $entry = $pc
set $magic = $eax
set {unsigned char[28]} 0x80000 = { \
	0xb0, 0x11, 0xe6, 0x20, 0xe6, 0xa0, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x70, 0xe6, 0xa1, \
	0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x02, 0xe6, 0xa1, 0xb0, 0x01, 0xe6, 0x21, 0xe6, 0xa1 }
set $pc = 0x80000
stepi 14
set $pc = $entry
set $eax = $magic
detach
GDB
	for _ in $(seq 50); do
		[ -S "$scratch/port" ] && break
		sleep 0.1
	done
	gdb -q -nx -batch -ex "target remote $scratch/port" -x "$scratch/firmware.gdb"
}

# What the test itself left out, by its names for it.
skips() {
	grep '^SKIP: ' "$1" | cut -c7- | paste -sd ';' | sed 's/;/; /g'
}

# What a vmexit test measured; it has some of them in 64-bit mode only, and ends well without them.
has_measured() {
	grep -q "^$2 [0-9]" "$1"
}

# The verdict of a run: its output is in @1.  A test all of whose parts were left out ends with 38,
# which the exit device of QEMU makes 77, the usual status of a skip.
verdict() {
	local log=$1 status=$2 flat=$3 args=$4 skipped
	skipped=$(skips "$log" | cut -c1-120)
	if [ "$status" = 38 ]; then
		echo "SKIP $skipped"
	elif [ "$status" = 0 ] && [ "$flat" = vmexit ] && ! has_measured "$log" "$args"; then
		echo "SKIP $args is not among its tests in this mode"
	elif [ "$status" = 0 ] && ! grep -q '^FAIL' "$log"; then
		echo "PASS $(sed -n 's/^SUMMARY: //p' "$log" | tail -1)${skipped:+ ($skipped)}"
	elif [ "$status" = 124 ]; then
		echo "FAIL time is up; $(grep -m1 '^FAIL' "$log" | cut -c1-70)"
	else
		echo "FAIL status $status; $(grep -m1 '^FAIL\|^Unhandled' "$log" | cut -c1-70)"
	fi
}

run() {
	local dir=$1 name=$2 flat=$3 cpus=$4 limit=$5 gdb="-gdb none" from=$EPOCHREALTIME status reason
	shift 5
	reason=$(lacks "$name")
	if [ -n "$reason" ]; then
		printf '%-20s %6s    SKIP %s\n' "$name" - "$reason"
		return
	fi
	if needs_firmware "$name"; then
		gdb="-S -gdb unix:$scratch/port"
		firmware >"$scratch/gdb" 2>&1 &
	fi
	printf 'NR_CPUS=%s\nMEMSIZE=128\nTEST_DEVICE=%s\n' "$cpus" "$(has_test_device "$name")" \
		>"$scratch/env"
	# shellcheck disable=SC2046,SC2086
	timeout -k 5 $((limit * slow)) "$umbra" -accel "$accel" -kernel "$dir/$flat.flat" \
		-append "$*" -initrd "$scratch/env" -smp "$cpus" -m 128M $gdb -serial stdio \
		--exit=plain -device isa-debug-exit,iobase=0xf4,iosize=4 -device pc-testdev \
		--on-halt exit:99 -no-reboot $(extra_args "$name") ${KUT_ARGS:-} \
		</dev/null >"$scratch/log" 2>"$scratch/err"
	status=$?
	wait
	printf '%-20s %6.1f s  %s\n' "$name" \
		"$(echo "$EPOCHREALTIME - $from" | tr , . | bc)" "$(verdict "$scratch/log" $status "$flat" "$*")"
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
