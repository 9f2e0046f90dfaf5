#!/usr/bin/env bash
# The main job on the embedded world, from nothing: both stages, merge, evaluation, pictures, runs/demo/report.html.
#   --family    LISA, LaSagnA, KeySeg and parts, and what each forgets: runs/family/report.html
#   --boxes     four ways to a box: runs/boxes/report.html
source "$(dirname "$0")/environment.sh"
exec python -m ullava demo "$@"
