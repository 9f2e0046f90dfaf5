"""What is known of a tower from its config.json alone."""

import json

import pytest

from ullava.configs.schema import VisionConfig
from ullava.models.backbones.tower_layout import read_layout


@pytest.mark.parametrize(("name", "value"), [("image_size", [96, 64]), ("patch_size", [24, 12])])
def test_a_tower_of_oblong_pictures_or_patches_is_refused(zoo, tmp_path, name, value):
    settings = json.loads((zoo / "clip" / "config.json").read_text())
    shape = settings.get("vision_config", settings)
    shape[name] = value
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="expected one number as image_size and one as patch_size"):
        read_layout(VisionConfig(tower=str(tmp_path)))
