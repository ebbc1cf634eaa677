#!/usr/bin/env bash
# Run one libFuzzer program that `make MODE=fuzz fuzz-programs` built.
#
#   ci/fuzz.sh fuzz_NAME SECONDS
#
# It starts from the files in tests/data/fuzz_NAME/ and keeps what it finds in build/fuzz/corpus/.
# FUZZ_SEED makes a run from the same files try the same inputs in the same order.
# 0 seconds: only the files in tests/data.  A crash leaves build/fuzz/fuzz_NAME-crash-*; mend it,
# and move that file into tests/data/fuzz_NAME/.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: ci/fuzz.sh fuzz_NAME SECONDS}
seconds=${2:?usage: ci/fuzz.sh fuzz_NAME SECONDS}
corpus=build/fuzz/corpus/$name
seeds=()
[ ! -d "tests/data/$name" ] || seeds=("tests/data/$name")

mkdir -p "$corpus"
if [ "$seconds" -eq 0 ]; then
	corpus=$(mktemp -d "$corpus.XXXXXX")
	trap 'rm -rf "$corpus"' EXIT
	build/fuzz/"$name" -runs=0 -artifact_prefix="build/fuzz/$name-" "$corpus" "${seeds[@]}"
else
	build/fuzz/"$name" -max_total_time="$seconds" ${FUZZ_SEED:+-seed="$FUZZ_SEED"} -timeout=10 \
		-rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" \
		"$corpus" "${seeds[@]}"
fi
