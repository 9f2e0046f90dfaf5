"""Trains one stage: `python train_ullava_core.py --cfg_path configs/train/ullava_core_stage1.yaml [key=value ...]`."""

from ullava.configs.messages import run_command
from ullava.training.train import main

if __name__ == "__main__":
    run_command(main)
