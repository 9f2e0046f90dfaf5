# Sourced by the shells beside it: goes to the root and makes its virtual environment `.venv`, once per pyproject.toml.
#   TORCH_INDEX_URL   where torch comes from, e.g. https://download.pytorch.org/whl/cpu; unset: where pip looks by itself
#   PYTHON            the interpreter of a new environment (3.11 to 3.13), default python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=${extras:-dev}
stamp=".venv/ullava-$extras-$(cksum <pyproject.toml | tr ' ' -)"
if [ ! -e "$stamp" ]; then
  echo "shells/environment.sh: installing ullava[$extras] into .venv, once" >&2
  [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} 'torch>=2.6,<2.14'
  .venv/bin/python -m pip install --quiet --editable ".[$extras]"
  touch "$stamp"
fi
export PATH="$PWD/.venv/bin:$PATH"

# launch SCRIPT DEFAULT.yaml [X.yaml] [ARGUMENTS]: one process per local GPU, or one on the CPU; on several nodes
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1    torchrun: the same command on every node, each with its NODE_RANK
#   HOSTFILE=hosts                               DeepSpeed: one command, over ssh; a line a node: `10.0.0.1 slots=8`
launch() {
  local script=$1 yaml=$2 processes nodes=(--standalone)
  shift 2
  [[ " $*" == *" --cfg_path"* || "${1:-=}" != *=* && "${1:-}" != -* ]] || set -- --cfg_path "$yaml" "$@"
  processes=${PROCESSES:-$(python -c 'import torch; print(max(1, torch.cuda.device_count()))')}
  if [ -n "${HOSTFILE:-}" ]; then
    exec deepspeed --hostfile "$HOSTFILE" --no_local_rank ${MASTER_ADDR:+--master_addr "$MASTER_ADDR"} "$script" "$@"
  elif [ "${NNODES:-1}" -gt 1 ]; then
    nodes=(--nnodes "$NNODES" --node_rank "$NODE_RANK" --master_addr "$MASTER_ADDR" --master_port "${MASTER_PORT:-29500}")
  elif [ "$processes" = 1 ]; then
    exec python "$script" "$@"
  fi
  exec torchrun "${nodes[@]}" --nproc_per_node "$processes" "$script" "$@"
}
