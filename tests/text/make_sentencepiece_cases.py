"""Records what Google's SentencePiece makes of some texts with the small models in data/.

    pip install sentencepiece==0.2.3
    python tests/text/make_sentencepiece_cases.py            # rewrites data/sentencepiece_cases.json
    python tests/text/make_sentencepiece_cases.py --train    # the models too, from Python's library

llama_style.model has Llama-2's settings (BPE, byte fallback, identity normalisation, a space put
before the text, single digits); unigram.model is a unigram model that puts no space there.
"""

import argparse
import glob
import hashlib
import json
import os
import random
import struct
import sysconfig

import sentencepiece

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
SEED = 20240506


def train():
    lines = []
    for path in sorted(glob.glob(os.path.join(sysconfig.get_path("stdlib"), "*.py")))[:150]:
        with open(path, errors="ignore") as file:
            lines += [line for line in file.read().split("\n") if line.strip()]
    lines += ["Ünïcödé näïve café", "Ελληνικά γράμματα", "русский текст"] * 3
    common = dict(
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.9995,
        minloglevel=2)
    for name, kind, size, prefix in (("llama_style", "bpe", 2000, True), ("unigram", "unigram", 1000, False)):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=os.path.join(DATA, name), model_type=kind,
            vocab_size=size, add_dummy_prefix=prefix, **common)
        os.remove(os.path.join(DATA, name + ".vocab"))


def texts():
    rng = random.Random(SEED)
    yield from ["", " ", "  ", "a", " a", "a ", "\n", "\n\na", "Hello, world!", "x  y   z    w",
                "tab\tand\r\nline ends\n", "<s> is text here </s>", "9054 + 3.14", "naïve café",
                "Ελληνικά и русский, 日本語 😀", "\x00nul", "\u2581mark", "    return self.value\n"]
    letters = "abcdefgh ijklmnop  qrstuv \n wxyz.,()_=09éΩж語😀"
    for _ in range(60):
        yield "".join(rng.choice(letters) for _ in range(rng.randrange(1, 60)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", action="store_true")
    if parser.parse_args().train:
        train()
    cases = {"made_by": f"sentencepiece {sentencepiece.__version__}, seed {SEED}", "models": {}, "long": {}}
    for name in ("llama_style", "unigram"):
        model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(DATA, name + ".model"))
        cases["models"][name] = [{"text": text, "ids": model.encode(text)} for text in texts()]
        # Longer than a chunk of the encoder: only the hash of the ids (little-endian int32).
        long = "".join(texts()) * 40
        ids = struct.pack(f"<{len(model.encode(long))}i", *model.encode(long))
        cases["long"][name] = hashlib.sha256(ids).hexdigest()
    with open(os.path.join(DATA, "sentencepiece_cases.json"), "w") as file:
        json.dump(cases, file, separators=(",", ":"), ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
