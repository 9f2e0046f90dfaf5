"""Numbers from answers: one file per formula family. Importing this package registers them all."""

from ullava.evaluation.metrics import (  # noqa: F401
    box_accuracy,
    caption_scores,
    generalised_iou,
    keyword_acc,
    mask_iou,
    mean_iou,
    meteor,
    naming,
    presence,
    saliency,
    vqa_accuracy,
    yes_no,
)
