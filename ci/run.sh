#!/usr/bin/env bash
# The test driver behind `make check` and its smaller sisters.
#
#   ci/run.sh GROUP...      groups: lint build unit asan race kvm diff walk qemu gdb gdbsoft gdbsuite linux
#                      gdbasan gdbtsan softtsan fuzz ci long qemulong walklong linuxlong gdbsuitelong
#
# One line per group while it runs, the output of what failed in full, then each skip with its
# reason, then "N passed, N failed, N skipped" alone on the last line.  A lint step and a build
# count as one each; everything else counts test by test.  Exit status: 0 when nothing failed.
#
# Nothing counts as passed unless it said so: a program that ends early, prints no result, or
# prints fewer than it announced is a failure of its own.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
results=build/check
limit_seconds=${UMBRA_TEST_TIMEOUT:-300}
launcher=()
# This driver runs makes of its own; the one that started it must not hand them its job slots.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

run_make() {
	make --no-print-directory -k "$@" </dev/null
}

seconds_since() {
	awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'
}

# The results of one program as lines of group $1: name $2, exit status $3, TAP in file $4, log $5.
collect() {
	awk -v name="$2" -v status="$3" -v limit="$limit_seconds" -v lastline="$(tail -n 1 "$5")" '
	function result(text) {
		print text
		if (text ~ /^not ok/)
			failed++
	}
	/^1\.\.[0-9]+/ {
		plan = substr($1, 4) + 0
		planned = 1
		if (plan == 0 && match($0, /# *[Ss][Kk][Ii][Pp]/))
			result("ok - " name " # SKIP" substr($0, RSTART + RLENGTH))
	}
	/^(not )?ok( |$)/ {
		line = $0
		bad = sub(/^not /, "", line)
		sub(/^ok *[0-9]* *-? */, "", line)
		result((bad ? "not ok" : "ok") " - " name ": " line)
		count++
	}
	/^Bail out!/ {
		result("not ok - " name ": " $0)
	}
	END {
		if (status == 124 || status == 137)
			result("not ok - " name ": no end within " limit " s")
		else if (status == 77 && !count && !planned)
			result("ok - " name " # SKIP " lastline)
		else if (!count && !(planned && !plan))
			result("not ok - " name ": printed no result (exit status " status ")")
		else if (planned && plan && plan != count)
			result("not ok - " name ": announced " plan " results, printed " count)
		else if (status && status != 77 && !failed)
			result("not ok - " name ": exit status " status)
	}' "$4" >>"$results/$1.results"
}

# Run a program of group $1 that prints TAP on stdout: name $2, command $3...
run_tap() {
	local group=$1 name=$2 log="$results/$1.$2.log" status
	shift 2
	timeout -k 10 "$limit_seconds" "${launcher[@]}" "$@" >"$log.tap" 2>"$log.err" </dev/null
	status=$?
	cat "$log.err" "$log.tap" >"$log"
	collect "$group" "$name" "$status" "$log.tap" "$log"
}

# Run a Criterion program of group $1: path $2.
run_criterion() {
	local name=${2##*/} log status
	log="$results/$1.$name.log"
	: >"$log.tap"
	timeout -k 10 "$limit_seconds" "${launcher[@]}" "$2" --ascii "--tap=$log.tap" >"$log" 2>&1 </dev/null
	status=$?
	collect "$1" "$name" "$status" "$log.tap" "$log"
}

# Run a command of group $1 that either succeeds or fails as a whole: name $2, command $3...
run_step() {
	local group=$1 name=$2 log="$results/$1.$2.log"
	shift 2
	if "$@" >"$log" 2>&1 </dev/null; then
		echo "ok - $name" >>"$results/$group.results"
	else
		echo "not ok - $name" >>"$results/$group.results"
		return 1
	fi
}

# Build under name $1: arguments of make $2...; a success is remembered for those who need it.
run_build() {
	local name=$1
	shift
	run_step build "build-$name" run_make -j"$jobs" "$@" && : >"$results/built.$name"
}

# Programs $3... by $1 in group $2.
run_each() {
	local runner=$1 group=$2 program
	shift 2
	for program in "$@"; do
		if [ "$runner" = run_criterion ]; then
			run_criterion "$group" "$program"
		else
			run_tap "$group" "${program##*/}" "$program"
		fi
	done
}

# What make calls the programs of target $1 in mode $2: those that the sources say, not leftovers.
programs() {
	run_make -s MODE="$2" "print-$1"
}

# The sanitizers of this age give up when the kernel spreads mappings over more than 28 bits
# (vm.mmap_rnd_bits); their tests then run without any such spreading, where that is permitted.
fix_addresses() {
	launcher=()
	if setarch -R true 2>/dev/null; then
		launcher=(setarch -R)
	fi
}

group_lint() {
	local step
	for step in format layers archives headers size handlers cppcheck tidy; do
		run_step lint "lint-$step" run_make -j"$jobs" "lint-$step"
	done
}

group_unit() {
	run_each run_criterion unit $(programs UNIT_PROGRAMS rel)
}

group_asan() {
	fix_addresses
	export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
	run_each run_criterion asan $(programs UNIT_PROGRAMS asan)
}

group_race() {
	fix_addresses
	export TSAN_OPTIONS=halt_on_error=1
	run_each run_tap race $(programs RACE_PROGRAMS tsan)
}

# Random instructions on the software CPU and on this one.
group_diff() {
	local program
	program=$(programs DIFF_PROGRAMS rel)
	run_tap diff diff64 "$program" --count 1000000
	run_tap diff diff32 "$program" --count 300000 --bits 32
}

# Devices beside QEMU's.
group_qemu() {
	run_tap qemu devices "$(programs QEMU_PROGRAMS rel)"
}

# Random page tables, walked by umbra and by Python.
group_walk() {
	run_tap walk walker tests/walk/compare.py "$(programs WALK_PROGRAMS rel)" --count 4000
}

group_kvm() {
	run_each run_tap kvm $(programs KVM_PROGRAMS rel)
}

# A real gdb, guests by themselves and a raw client, on umbra $2 with back end $3.  They take turns: their
# transcripts lie in one place.
run_gdb() {
	local group=$1 umbra=$2 accel=$3
	shift 3
	(
		flock 9
		run_tap "$group" gdb env UMBRA="$umbra" ACCEL="$accel" tests/gdb/run "$@"
	) 9>"$results/gdb.lock"
}

group_gdb() {
	run_gdb gdb build/umbra kvm '^(?!linuxlong/|long/)'
}

# Whole systems boot many times in the groups of their own, and nowhere else.
not_linux='^(?!linux|long)'

group_gdbsoft() {
	run_gdb gdbsoft build/umbra soft "$not_linux"
}

# gdb's own test suite with umbra as its board: forty files of it, and all with which it is compared.
group_gdbsuite() {
	run_tap gdbsuite gdbsuite env UMBRA=build/umbra ACCEL=soft tests/gdbsuite/run -j "$jobs"
}

group_gdbsuitelong() {
	local limit_seconds=${UMBRA_TEST_TIMEOUT:-3600}
	run_tap gdbsuitelong gdbsuite env UMBRA=build/umbra ACCEL=soft tests/gdbsuite/run -j "$jobs" \
		--list tests/gdbsuite/all.txt
}

group_linux() {
	run_gdb linux build/umbra soft '^linux/'
}

group_linuxlong() {
	limit_seconds=${UMBRA_TEST_TIMEOUT:-3600}
	run_gdb linuxlong build/umbra soft '^(linuxlong|long)/'
}

group_gdbasan() {
	fix_addresses
	export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
	run_gdb gdbasan build/asan/umbra soft "$not_linux"
}

# The guests only: TSan holds a signal back until the next call that it knows, so that the kick
# that Ctrl-C sends may come to KVM_RUN too late.
group_gdbtsan() {
	fix_addresses
	export TSAN_OPTIONS=halt_on_error=1
	run_gdb gdbtsan build/tsan/umbra kvm guest/
}

group_softtsan() {
	fix_addresses
	export TSAN_OPTIONS=halt_on_error=1
	run_gdb softtsan build/tsan/umbra soft guest/
}

# Crashes that were found once are files under tests/data, and must stay mended.  The two targets of
# the software CPU, where a finding is a way out of the guest, also look for new ones for a while: by
# the same way each time, so that a change is blamed for what it did; `make fuzz` takes other ways.
group_fuzz() {
	local program seconds
	for program in $(programs FUZZ_PROGRAMS fuzz); do
		seconds=0
		case ${program##*/} in
		fuzz_exec | fuzz_walk) seconds=${UMBRA_FUZZ_SECONDS:-60} ;;
		esac
		run_step fuzz "${program##*/}" env FUZZ_SEED=1 timeout -k 10 "$limit_seconds" \
			ci/fuzz.sh "${program##*/}" "$seconds"
	done
}

group_long() {
	local program
	run_step long lint-analyze run_make -j"$jobs" lint-analyze
	for program in $(programs FUZZ_PROGRAMS fuzz); do
		run_step long "${program##*/}" ci/fuzz.sh "${program##*/}" "${UMBRA_FUZZ_SECONDS:-60}"
	done
}

group_walklong() {
	local limit_seconds=1200
	run_tap walklong walker tests/walk/compare.py "$(programs WALK_PROGRAMS rel)" \
		--seed "$(date +%s)" --count "${UMBRA_WALK_SETS:-100000}"
}

# Other sequences each time; the log has the seed.
group_qemulong() {
	run_tap qemulong devices "$(programs QEMU_PROGRAMS rel)" --seed "$(date +%s)" \
		--seconds "${UMBRA_QEMU_SECONDS:-200}"
}

group_ci() {
	run_tap ci ci tests/ci/run
}

# Builds go first, one after the other, each on all processors.
build_for() {
	case $1 in
	unit | kvm | diff | walk | walklong | qemu | qemulong | gdb | gdbsoft) echo rel ;;
	gdbsuite | gdbsuitelong | linux | linuxlong) echo rel ;;
	asan | gdbasan) echo asan ;;
	race | gdbtsan | softtsan) echo tsan ;;
	fuzz | long) echo fuzz ;;
	build) echo clang ;;
	esac
}

build() {
	case $1 in
	rel) run_build rel MODE=rel all unit-programs kvm-programs diff-programs qemu-programs walk-programs bench-programs ;;
	asan) run_build asan MODE=asan all unit-programs ;;
	tsan) run_build tsan MODE=tsan all race-programs ;;
	fuzz) run_build fuzz MODE=fuzz fuzz-programs ;;
	clang) run_build clang CC=clang MODE=dbg OUT=build/clang objects ;;
	esac
}

# What log $1 says apart from passes; the file itself has the rest of a very long one.
excerpt() {
	awk '/^(\[PASS\]|ok |  [A-Z]+ +[^ ]+$)/ { next }
		++n <= 200
		END { if (n > 200) print "... and " n - 200 " lines more" }' "$1"
}

# One line about group $1 that began at $2; what failed in it follows in full.
report() {
	local file="$results/$1.results" log name text
	touch "$file"
	text=$(awk -v group="$1" -v seconds="$(seconds_since "$2")" '
	/^not ok/ { failed++; next }
	/# SKIP/ { skipped++; next }
	{ passed++ }
	END {
		printf "%-8s %4d passed %s%s  %s s\n", group, passed,
			failed ? failed " FAILED " : "", skipped ? skipped " skipped " : "", seconds
	}' "$file")
	if grep -q '^not ok' "$file"; then
		text+=$'\n'$(sed -n 's/^not ok/  not ok/p' "$file")
		while read -r name; do
			log="$results/$1.${name%%:*}.log"
			[ -s "$log" ] && text+=$'\n'"--- $log"$'\n'$(excerpt "$log")
		done < <(sed -n 's/^not ok - \([^ :]*\).*/\1/p' "$file" | sort -u)
	fi
	printf '%s\n' "$text"
}

run_group() {
	local from=$EPOCHREALTIME need
	need=$(build_for "$1")
	if [ -n "$need" ] && [ ! -e "$results/built.$need" ] && [ "$1" != build ]; then
		echo "not ok - $1: not run, build-$need failed" >"$results/$1.results"
	else
		"group_$1"
		# A group in which nothing ran has not been checked.
		[ -s "$results/$1.results" ] || echo "not ok - $1: no test found" >"$results/$1.results"
	fi
	report "$1" "$from"
}

main() {
	local group mode from=$EPOCHREALTIME
	local -A modes=()

	for group in "$@"; do
		if [ "$group" != build ] && ! declare -F "group_$group" >/dev/null; then
			echo "ci/run.sh: unknown group $group" >&2
			exit 2
		fi
	done
	rm -rf "$results" && mkdir -p "$results" || exit 1

	for group in "$@"; do
		mode=$(build_for "$group")
		if [ -n "$mode" ] && [ -z "${modes[$mode]:-}" ]; then
			modes[$mode]=1
			build "$mode"
		fi
	done
	[ ${#modes[@]} -eq 0 ] || report build "$from"

	for group in "$@"; do
		[ "$group" != build ] || continue
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		run_group "$group" &
	done
	wait
	summary
}

summary() {
	cat "$results"/*.results | awk '
	/^not ok/ { failed++; next }
	/# SKIP/ {
		sub(/^ok - /, "")
		skip[skipped++] = $0
		next
	}
	/^ok/ { passed++ }
	END {
		if (skipped)
			print "\nSkipped:"
		for (i = 0; i < skipped; i++) {
			sub(/ *# SKIP */, ": ", skip[i])
			print "  " skip[i]
		}
		printf "%s%d passed, %d failed, %d skipped\n", skipped ? "\n" : "", passed, failed, skipped
		exit failed || !passed
	}'
}

main "$@"
