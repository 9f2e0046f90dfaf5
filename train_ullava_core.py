"""Trains one stage: `python train_ullava_core.py configs/train/ullava_core_stage1.yaml [key=value ...]`."""

from ullava.commands.train import main
from ullava.configs.messages import run_command

if __name__ == "__main__":
    run_command(main)
