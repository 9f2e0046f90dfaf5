#!/usr/bin/env bash
# Any other shell on the nodes of a SLURM job, from the root and where `.venv` stands: sbatch [--nodes 4 --partition P]
#   shells/slurm.sh shells/finetune_lora.sh [ARGUMENTS]
#SBATCH --job-name=ullava --nodes=2 --ntasks-per-node=1 --gpus-per-node=8
#SBATCH --signal=TERM@180 --requeue
set -euo pipefail
export NNODES=$SLURM_NNODES MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
export MASTER_ADDR=${MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}
exec srun --kill-on-bad-exit=1 bash -c 'export NODE_RANK=$SLURM_NODEID; exec "$@"' ullava "$@"
