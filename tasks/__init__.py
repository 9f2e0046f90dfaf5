"""What is asked and answered, without torch and without tensors. Importing this package registers every task."""

from ullava.tasks import (  # noqa: F401
    captioning,
    keyword_segmentation,
    multi_target_segmentation,
    part_segmentation,
    phrases_lisa,
    reasoning_segmentation,
    referring_comprehension,
    referring_segmentation,
    salient_segmentation,
    semantic_segmentation,
    vqa,
)
