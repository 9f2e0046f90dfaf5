#!/usr/bin/env bash
# The same tokenizer.model with [SEG] added puts another token in front of [SEG] in transformers 5.24 than in 4.31.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv then
"${PYTHON:-python3}" -m venv now
then/bin/pip install --quiet --no-compile --disable-pip-version-check \
  transformers==4.31.0 tokenizers==0.13.3 sentencepiece==0.2.1 protobuf==4.25.8 numpy==1.26.4
now/bin/pip install --quiet --no-compile --disable-pip-version-check \
  transformers==5.24.0 tokenizers==0.23.3 sentencepiece==0.2.1 protobuf==7.36.2 numpy==2.4.6

then/bin/python - <<'EOF'
import json
import random

import sentencepiece

random.seed(0)
words = "it is the mask of a dog and a cat sure please segment here on the left right".split()
with open("sentences.txt", "w") as file:
    file.writelines(" ".join(random.choices(words, k=7)) + ".\n" for _ in range(400))
sentencepiece.SentencePieceTrainer.train(
    input="sentences.txt", model_prefix="tokenizer", vocab_size=80, model_type="bpe", hard_vocab_limit=False,
    minloglevel=2,
)
with open("tokenizer_config.json", "w") as file:
    json.dump({"tokenizer_class": "LlamaTokenizer"}, file)
EOF

cat > cut.py <<'EOF'
import json
import sys

from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".", use_fast=False)  # LLaVA, LISA and u-LLaVA open theirs so
tokenizer.add_tokens(["[SEG]"])
json.dump([tokenizer.tokenize(text) for text in json.loads(sys.argv[1])], sys.stdout)
EOF
texts='["it is [SEG].", "sure [SEG] and [SEG]", "it is[SEG]"]'
then/bin/python cut.py "$texts" > then.json 2> then.log || { cat then.log; exit 1; }
now/bin/python cut.py "$texts" > now.json 2> now.log || { cat now.log; exit 1; }

now/bin/python - "$texts" <<'EOF'
import json
import sys


def before(tokens: list[str]) -> list[str]:
    """The tokens in front of each [SEG]: their states are what a mask is drawn from."""
    return [tokens[place - 1] for place, token in enumerate(tokens) if token == "[SEG]"]


print("transformers 4.31.0 and 5.24.0, one tokenizer.model")
print("expected: the tokens of a text are those that the published weights were trained on")
different = []
with open("then.json") as old, open("now.json") as new:
    for text, first, second in zip(json.loads(sys.argv[1]), json.load(old), json.load(new)):
        print(f"seen: {text!r}\n      4.31 {first}\n      5.24 {second}")
        different.append(before(first) != before(second))
sys.exit(0 if different == [True, True, False] else "changed: [SEG] stands behind the same token")
EOF
