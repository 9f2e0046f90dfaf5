#!/usr/bin/env bash
# Stage II, the whole language model, on all local GPUs; arguments and several nodes as in pretrain.sh.
extras=dev,train source "$(dirname "$0")/environment.sh"
launch train_ullava_core.py configs/train/ullava_stage2.yaml "$@"
