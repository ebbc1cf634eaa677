#!/usr/bin/env bash
# Sizes: 600 lines a file, 60 lines a function; and each suppression of another check is accounted for.
#
#   ci/check-size.sh ROOT [WAIVERS]
#
# Exceptions stand in ci/waivers.txt.  Exit status: 0 clean, 1 something is too big, or a waiver is
# wrong or stale.
set -euo pipefail

cd "${1:?usage: ci/check-size.sh ROOT [WAIVERS]}"
waivers=${2:-ci/waivers.txt}
[ -f "$waivers" ] || { echo "$waivers: no such file"; exit 1; }

# clang-format puts a function's braces, and nothing else's, alone into column 0.
{ find include src gdbstub guests tests ci GNUmakefile -type f \
	\( -name '*.[chS]' -o -name '*.py' -o -name '*.sh' -o -name GNUmakefile \) 2>/dev/null || true; } | sort |
	xargs -r awk -v waivers="$waivers" '
	function complain(text) {
		print text
		bad = 1
	}
	# @size of @what is over @limit unless a waiver raises it.
	function check(what, size, limit, unit,    key) {
		key = what
		if (key in waived) {
			used[key] = size > limit
			limit = waived[key] > limit ? waived[key] : limit
		}
		if (size > limit)
			complain(what ": " size " " unit ", the limit is " limit)
	}
	function close_file() {
		if (file == "")
			return
		check("file " file, lines, 600, "lines")
		check("nolint " file, suppressions, 0, "suppressions")
	}
	# The name in the last line before the body that has one: "static int name(int a,".
	function name_of(head,    name) {
		if (match(head, /^(Test|ParameterizedTest|Theory|TestSuite)\(.*\)/)) {
			name = substr(head, RSTART, RLENGTH)
			gsub(/.*, */, "", name)
			gsub(/[^A-Za-z0-9_].*/, "", name)
			return name
		}
		match(head, /[A-Za-z_][A-Za-z0-9_]*\(/)
		return substr(head, RSTART, RLENGTH - 1)
	}
	BEGIN {
		while ((getline row < waivers) > 0) {
			if (row ~ /^[ \t]*(#|$)/)
				continue
			n = split(row, field, /[ \t]+/)
			key = field[1] " " field[2]
			if (field[1] !~ /^(file|function|nolint)$/ || field[3] !~ /^[0-9]+$/ || n < 5)
				complain(waivers ": not \"KIND WHAT LIMIT WHY\": " row)
			else if (key in waived)
				complain(waivers ": twice: " key)
			else
				waived[key] = field[3]
		}
	}
	FNR == 1 {
		close_file()
		file = FILENAME
		lines = suppressions = opened = 0
		head = ""
	}
	{
		lines++
	}
	/NOLINT|cppcheck-suppress/ && file ~ /\.[ch]$/ {
		suppressions++
	}
	file !~ /\.[ch]$/ {
		next
	}
	/^[A-Za-z_].*\(/ {
		head = $0
	}
	/^\{$/ {
		opened = FNR
	}
	/^\}$/ && opened {
		check("function " file ":" name_of(head), FNR - opened - 1, 60, "lines")
		opened = 0
	}
	END {
		close_file()
		for (key in waived)
			if (!used[key])
				complain(waivers ": stale, no longer needed: " key)
		exit bad
	}
	' || exit 1
