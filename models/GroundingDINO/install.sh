#!/usr/bin/env bash
# u-LLaVA's README calls this to compile CUDA operators. Here GroundingDINO runs in plain PyTorch (models/detectors/grounding_dino.py).
echo "nothing to compile: GroundingDINO runs in plain PyTorch"
