. tests/docs/tiny.inc
small_training
tiny_model runs/other tests/text/data/bpe/gpt2
mkdir runs/mine && cp -r runs/other runs/mine/final
some_texts my_texts
