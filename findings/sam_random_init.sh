#!/usr/bin/env bash
# A SamModel built from its config encodes every picture as zeros, and gives neighbouring places unrelated codes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} torch==2.13.0 transformers==5.24.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import torch
import transformers
from transformers import SamConfig, SamModel

torch.manual_seed(0)
vision = {  # of the width of ViT-B, and small otherwise
    "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 12, "mlp_dim": 768, "image_size": 128,
    "window_size": 4, "global_attn_indexes": [1],
}
model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config={"image_size": 128})).eval()
layers = dict(model.vision_encoder.layers.named_parameters())
matrices = [one for name, one in layers.items() if one.ndim == 2 and "rel_pos" not in name]
pictures = torch.randn(2, 3, 128, 128)
with torch.no_grad():
    spread = max(float(matrix.std()) for matrix in matrices)
    pair = model.get_image_embeddings(pictures)
    codes = model.get_image_wide_positional_embeddings()[0]
    scale = float(model.shared_image_embedding.positional_embedding.std())
moved = float((pair[0] - pair[1]).abs().max())
alike = torch.nn.functional.cosine_similarity(codes[:, :, :-1], codes[:, :, 1:], dim=0).mean()
far = torch.nn.functional.cosine_similarity(codes[:, :, :1], codes[:, :, -1:], dim=0).mean()
print("transformers", transformers.__version__)
print("expected: a SAM from its config can be trained: weights near 0.02, as its config's initializer_range says")
print(f"          ({model.config.initializer_range}), and frequencies near 1, as segment-anything draws them")
print(f"seen: the encoder's weights have a deviation of {spread:.0e}, and the embeddings of two pictures of noise")
print(f"      differ by {moved:.0e} at most; frequencies have one of {scale:.0f}, and the codes of neighbouring places")
print(f"      a cosine of {float(alike):.2f}, those of far ones {float(far):.2f}")
same = spread < 1e-9 and moved < 1e-9 and scale > 100
sys.exit(0 if same else "changed: a random SAM can learn")
EOF
