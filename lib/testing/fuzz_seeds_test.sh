#!/usr/bin/env bash
# Each fuzzer over its seeds and the first few thousand inputs that libFuzzer makes of them, the
# same in every run; `make fuzz` looks for longer. `make test` has built the fuzzers, with clang's
# sanitizers, beside the release; in other variants this test would say the same again.
cd "$(dirname "$0")/../.." || exit 1

mapfile -t fuzzers < <(find lib sidecar controller -name '*_fuzz.c' | sed 's/\.c$//' | sort)
if [ "${VARIANT:-release}" != release ]; then
    echo "ok 1 - fuzzers_survive_their_seeds # SKIP they are a variant of their own"
    exit 0
fi
number=0
for fuzzer in "${fuzzers[@]}"; do
    number=$((number + 1))
    name=$(echo "$fuzzer" | tr / _)_survives_its_seeds
    if report=$(FUZZ_RUNS=5000 .ci/fuzz "$fuzzer"); then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        echo "# ${report//$'\n'/$'\n# '}"
    fi
done
echo "1..$number"
