#!/usr/bin/env bash
# The tests, a file at a time on each core, those with slow tests first; arguments are pytest's:
#   shells/test.sh -m "not slow" tests/tasks
source "$(dirname "$0")/environment.sh"
export OMP_NUM_THREADS=1
exec python -m pytest -q -n logical --dist loadfile --no-loadscope-reorder "$@"
