#!/usr/bin/env bash
# transformers' SAM mask decoder normalises with eps 1e-6; the published weights were trained with 1e-5.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 segment-anything==1.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType

import torch
import transformers
from transformers import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamTwoWayTransformer

package = ModuleType("segment_anything")  # its own __init__ imports torchvision, which its networks do not need
package.__path__ = list(find_spec("segment_anything").submodule_search_locations)
sys.modules["segment_anything"] = package
from segment_anything.modeling.transformer import TwoWayTransformer  # noqa: E402

torch.manual_seed(0)
published = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048).eval()  # the size of all SAMs
weights = {name.replace("norm", "layer_norm"): weight for name, weight in published.state_dict().items()}
tokens, image, codes = (torch.randn(1, *shape) * 0.02 for shape in ((7, 256), (256, 8, 8), (256, 8, 8)))


def distance(config: SamMaskDecoderConfig) -> float:
    """Of transformers' decoder with these weights from the published one with the same, largest of all numbers."""
    config._attn_implementation = "eager"
    copy = SamTwoWayTransformer(config).eval()
    copy.load_state_dict(weights)
    with torch.no_grad():
        truth = published(image, codes, tokens)
        ours = copy(tokens[:, None], image, codes, attention_similarity=None)
    return max(float((a - b.view_as(a)).abs().max()) for a, b in zip(truth, ours[:2]))


eps = {module.eps for module in published.modules() if isinstance(module, torch.nn.LayerNorm)}
default, cured = SamMaskDecoderConfig(), SamMaskDecoderConfig(layer_norm_eps=1e-5)
found = distance(default), distance(cured)
print("transformers", transformers.__version__, "and segment-anything", version("segment-anything"))
print("expected: the same weights compute the same tokens in both, within float32's rounding")
print(f"seen: eps {eps} in segment-anything, {default.layer_norm_eps} in transformers;", end=" ")
print(f"largest difference {found[0]:.1e} by default, {found[1]:.1e} with layer_norm_eps=1e-5")
same = eps == {1e-5} and default.layer_norm_eps == 1e-6 and found[0] > 50 * found[1]
sys.exit(0 if same else "changed: the default is the published one")
EOF
