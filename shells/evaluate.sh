#!/usr/bin/env bash
# Batch evaluation on all local GPUs; another file: configs/eval/eval_rec.yaml
source "$(dirname "$0")/environment.sh"
launch evaluation/eval_ullava.py configs/eval/eval_res.yaml "$@"
