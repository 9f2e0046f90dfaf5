#!/usr/bin/env bash
# transformers teaches GroundingDINO's proposing layers nothing, although its loss has terms for them.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import torch
import transformers
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

torch.manual_seed(0)
backbone = SwinConfig(
    image_size=32, patch_size=2, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=2,
    out_features=["stage1", "stage2", "stage3"],
)
text = BertConfig(
    vocab_size=2000, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
)
config = GroundingDinoConfig(
    backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=4,
    encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
    encoder_n_points=2, decoder_n_points=2, num_feature_levels=3, max_text_len=16, two_stage=True, auxiliary_loss=True,
)
model = GroundingDinoForObjectDetection(config).train()
ids = torch.tensor([[101, 11, 1012, 12, 1012, 102]])  # [CLS] word . word . [SEP]
labels = [{"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.2]])}]
result = model(pixel_values=torch.randn(1, 3, 32, 32), input_ids=ids, labels=labels)
result.loss.backward()

proposing = ("model.enc_output.", "model.enc_output_norm.", "model.encoder_output_bbox_embed.")
parameters = {name: one for name, one in model.named_parameters() if name.startswith(proposing)}
untaught = [name for name, one in parameters.items() if one.grad is None]
terms = {name: part.item() for name, part in result.loss_dict.items() if name.endswith("_enc")}
print("transformers", transformers.__version__)
print("expected: two_stage=True teaches the layers that propose: the loss counts loss_ce_enc, loss_bbox_enc, ...")
print("seen: terms", ", ".join(f"{name} {value:.2f}" for name, value in terms.items()), end="; ")
print(f"{len(untaught)} of the {len(parameters)} tensors that propose have no gradient (grad is None):")
print("     ", *(name.removeprefix("model.") for name in untaught))
same = {"loss_ce_enc", "loss_bbox_enc"} <= set(terms) and len(untaught) == len(parameters) == 10
sys.exit(0 if same else "changed: a gradient reaches the proposals")
EOF
