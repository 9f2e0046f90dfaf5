"""`ullava prepare KIND`: what a dataset needs before it can be read, one file a kind. Importing this registers all."""

from ullava.preparing import (  # noqa: F401
    keywords,
    openimages,
    own,
    pascal_part,
    pseudo_masks,
    reason_proxy,
    refer,
    tiny_world,
    ullava_json,
)
