"""The network and its borders: from dialogues to tensors, and from states to masks, boxes and words."""
