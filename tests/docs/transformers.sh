. tests/docs/tiny.inc
"$FCC_PYTHON" -c 'import torch, transformers, safetensors' ||
  { echo "$FCC_PYTHON lacks torch or transformers: scripts/setup.sh --cuda --transformers"; exit 77; }
small_training
tiny_model tiny tests/text/data/bpe/gpt2
fcc-convert convert tiny models/mine --remote-code
