. tests/docs/tiny.inc
small_training --set model.config.vocab_size=2000
some_texts my_texts
mkdir -p models
cp -r tests/text/data/bpe/gpt2 models/tokenizer
