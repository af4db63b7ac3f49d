. tests/docs/tiny.inc
small_training --set model.config.vocab_size=2000
some_texts my_texts
for text in my_texts/*; do # whichever is held out must have 16 segments
  cat docs/configuration.md >> "$text"
done
mkdir -p models
cp -r tests/text/data/bpe/gpt2 models/tokenizer
