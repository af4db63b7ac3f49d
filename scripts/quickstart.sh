#!/usr/bin/env bash
# From a fresh clone to a model that carries a passkey through segments it can no longer see: sets
# up, builds, trains on two CPU cores, and draws the recall over lengths and depths: at whole
# segments, and at lengths drawn around them.
#
# usage: scripts/quickstart.sh [FOLDER]      (default runs/quickstart; a finished training is kept)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
run=${1:-runs/quickstart}
preset=cpu

scripts/setup.sh --cpu
cmake --preset "$preset" >/dev/null
cmake --build "build/$preset" --target fcc-train fcc-eval
bin=build/$preset/bin

# Training that was interrupted goes on where it stopped.
"$bin/fcc-train" --config configs/quickstart.json --set "output=$run" --resume auto
"$bin/fcc-eval" passkey --model "$run/final" --config configs/quickstart.json \
  --segments 2,8,32,128,512,1024 --depths 0,0.25,0.5,0.75,1 --trials 20 --output "$run/passkey"
echo
echo "the same at lengths within a segment of these, on no segment's border:"
"$bin/fcc-eval" passkey --model "$run/final" --config configs/quickstart.json \
  --segments 3,8,32,128,512,1024 --spread 32 --depths 0,0.5,1 --trials 10 --output "$run/any_length"

echo
echo "the model:     $run/final"
echo "its heat maps: $run/passkey/heatmap.svg, $run/any_length/heatmap.svg"
