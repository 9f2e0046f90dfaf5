"""From dialogues to batches: the processor writes one example, the collator puts examples side by side."""
