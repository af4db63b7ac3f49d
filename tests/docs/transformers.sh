. tests/docs/tiny.inc
"${FCC_PYTHON:-python3}" -c 'import torch, transformers, safetensors' || exit 77 # not there
small_training
tiny_model tiny tests/text/data/bpe/gpt2
fcc-convert convert tiny models/mine --remote-code
