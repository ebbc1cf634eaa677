#!/usr/bin/env bash
# The Debian packages that umbra needs, by what they are needed for, and their installation.
#
#   ci/deps.sh GROUP...     install what is missing of these groups (through sudo unless root)
#   ci/deps.sh --list       print every group's packages and what each is for
#   UMBRA_NO_DEPS=1         install nothing: a missing package is an error that names the command
#
# When nothing is missing this is a single dpkg-query and prints nothing.
set -euo pipefail

packages() {
	cat <<'END'
build gcc               the compiler; brings the assembler, the linker and the sanitizers
build libc6-dev         C library headers
build linux-libc-dev    linux/kvm.h
build make              GNU make
build libzydis-dev      x86 decoder: disassembly and the software CPU
build libzycore-dev     headers that Zydis includes
test  clang             every source compiles without warnings with clang as well; fuzzers
test  libclang-rt-14-dev libFuzzer and clang's sanitizers
test  libcriterion-dev  unit tests
test  python3           test driver, test clients
lint  clang             headers compile alone with clang as well
lint  clang-format      formatting
lint  clang-tidy        static checks
lint  cppcheck          static checks
lint  python3           layer and header checkers
test  graphviz          reads the graphs of `mmu dump`
debug gdb               the user interface: demo, tests with a real gdb
debug python3           the demo drives gdb with it
bench python3           the client that measures
bench gdb               a real client to measure with
bench qemu-system-x86   optional: the columns that umbra is compared with
bench gdbserver         optional: the same
bench bochs             optional: one more column of the raw speeds
bench bochs-term        optional: the screen that Bochs needs, in a pseudo-terminal
qemu  qemu-system-x86   optional: the devices that umbra's are compared with
qemu  acpica-tools      optional: reads the ACPI tables
lldb  lldb-14           optional: the other debugger
gdbsuite dejagnu        optional: what runs gdb's own test suite
gdbsuite gdb-source     optional: that test suite
gdbsuite g++            optional: some of its programs are C++
gdbsuite xz-utils       optional: unpacks it
linux linux-image-cloud-amd64 optional: a whole kernel as a guest
linux busybox-static    optional: what it runs
linux seabios           optional: firmware as a guest
linux u-boot-qemu       optional: the same
linux memtest86+        optional: a program for a bare PC as a guest
END
}

say() {
	printf 'deps: %s\n' "$*" >&2
}

die() {
	say "$@"
	exit 1
}

# Names of the packages in the groups given, each once.
wanted() {
	packages | awk -v groups=" $* " 'index(groups, " " $1 " ") && !seen[$2]++ { print $2 }'
}

# Those of the packages given that are not installed.
missing() {
	local installed
	# dpkg-query fails as soon as one package is unknown to it, and still lists the others.
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	printf '%s\n' "$@" | grep -vxF "$(sed -n 's/^installed //p' <<<"$installed")" || true
}

install_packages() {
	local -a root=()
	local -a apt=(apt-get -q -y -o DPkg::Lock::Timeout=120)
	local line="apt-get install -y --no-install-recommends $*"

	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die "not root and no sudo here; as root run: $line"
		root=(sudo)
		# Without a terminal nobody could type a password.
		[ -t 0 ] || root=(sudo -n)
	fi
	command -v apt-get >/dev/null || die "no apt-get here; install what corresponds to: $*"
	say "installing $* (UMBRA_NO_DEPS=1 prevents this): ${root[*]:+${root[*]} }$line"
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive "${apt[@]}" update >&2 ||
		say "the package lists could not be brought up to date; going on with those that are here"
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --no-install-recommends \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >&2 ||
		die "installation failed (offline, or no right to install?); run by hand: $line"
}

main() {
	local -a all lacking
	local group

	if [ "${1:-}" = --list ]; then
		packages
		return
	fi
	[ $# -gt 0 ] || die "usage: ci/deps.sh [--list] build|test|lint|debug|bench|qemu..."
	for group in "$@"; do
		packages | grep -q "^$group " || die "unknown group $group; see ci/deps.sh --list"
	done
	if ! command -v dpkg-query >/dev/null; then
		say "not a Debian system, so nothing is checked; needed here: $(wanted "$@" | xargs)"
		return
	fi
	mapfile -t all < <(wanted "$@")
	mapfile -t lacking < <(missing "${all[@]}")
	[ ${#lacking[@]} -gt 0 ] || return 0
	if [ "${UMBRA_NO_DEPS:-0}" = 1 ]; then
		die "missing: ${lacking[*]}; run: apt-get install -y --no-install-recommends ${lacking[*]}"
	fi
	install_packages "${lacking[@]}"
}

main "$@"
