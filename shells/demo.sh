#!/usr/bin/env bash
# The main job on the embedded world, from nothing: both stages, merge, evaluation, pictures, runs/demo/report.html.
source "$(dirname "$0")/environment.sh"
exec python -m ullava demo "$@"
