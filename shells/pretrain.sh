#!/usr/bin/env bash
# Stage I on all local GPUs; several nodes by NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT. Another file: X.yaml;
# any key: training.batch_size=16
extras=dev,train source "$(dirname "$0")/environment.sh"
launch train_ullava_core.py configs/train/ullava_core_stage1.yaml "$@"
