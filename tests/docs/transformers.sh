. tests/docs/tiny.inc
"$FCC_PYTHON" -c 'import torch, transformers, safetensors' ||
  { echo "$FCC_PYTHON lacks torch or transformers: scripts/setup.sh --cuda --transformers"; exit 77; }
small_training
tiny_model runs/mine/final tests/text/data/bpe/gpt2
mkdir -p models
