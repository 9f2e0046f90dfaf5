"""From a dialogue to token ids: conversations, chat templates, tokenizers."""
