"""Trains one stage: `python train_ullava_core.py --cfg_path configs/train/ullava_core_stage1.yaml [key=value ...]`."""

from ullava.train import main

if __name__ == "__main__":
    main()
