. tests/docs/tiny.inc
small_training
tiny_model tiny tests/text/data/bpe/gpt2
fcc-convert convert tiny model.gguf
