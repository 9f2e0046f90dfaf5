#!/usr/bin/env bash
# The tests; arguments are pytest's: shells/test.sh -m "not slow" tests/tasks
source "$(dirname "$0")/environment.sh"
exec python -m pytest -q "$@"
