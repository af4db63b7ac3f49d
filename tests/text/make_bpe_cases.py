"""Trains small byte-level BPE tokenizers and records what their own libraries make of some texts.

    pip install tokenizers==0.23.3 tiktoken==0.14.0
    python tests/text/make_bpe_cases.py       # rewrites data/bpe/ from Python's standard library

data/bpe/NAME/ holds a tokenizer (gpt2, llama3 and smollm2: the families' patterns and settings;
prefix, lacking, added: rarer settings; tiktoken: llama3's vocabulary as a rank file), and
data/bpe/cases.json the texts and their ids: `plain` with special tokens left as text, `special`
with special tokens parsed.
"""

import base64
import glob
import json
import os
import random
import sysconfig

import tiktoken
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "bpe")
SEED = 20250624
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus():
    texts = []
    for path in sorted(glob.glob(os.path.join(sysconfig.get_path("stdlib"), "*.py")))[:80]:
        with open(path, errors="ignore") as file:
            texts.append(file.read())
    return texts + ["Ünïcödé café naïve Ελληνικά γράμματα русский текст 日本語 中文 हिन्दी العربية 😀👍 " * 20]


def byte_level(prefix=False, use_regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def train(texts, pre_tokenizer, size, specials=(), alphabet=True, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else []))
    return tokenizer


def make_tokenizers():
    texts = corpus()
    made = {
        "gpt2": train(texts, byte_level(), 700, ["<|endoftext|>"]),
        "llama3": train(
            texts,
            pre_tokenizers.Sequence(
                [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), byte_level(use_regex=False)]),
            1000, ignore_merges=True),
        "smollm2": train(
            texts, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level()]), 700,
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        "prefix": train(
            texts, pre_tokenizers.Sequence(
                [pre_tokenizers.Split("::", "isolated"), pre_tokenizers.Digits(False), byte_level(True)]), 400),
        # Only the bytes of the training text; the others become one <unk>.
        "lacking": train(["plain ascii text, 123 and no more. " * 9], byte_level(), 60, ["<unk>"],
                         alphabet=False, unk_token="<unk>", fuse_unk=True),
        "added": train(texts, byte_level(), 400, ["<s>"]),
    }
    llama3 = made["llama3"]
    llama3.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    llama3.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 1000)])
    made["added"].add_special_tokens([AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True)])
    made["added"].add_tokens([
        AddedToken("return", normalized=False), AddedToken("return x", normalized=False),
        AddedToken("self", normalized=True), AddedToken("éx", normalized=True), AddedToken("x <", normalized=True)])
    for name, tokenizer in made.items():
        os.makedirs(os.path.join(DATA, name), exist_ok=True)
        compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        with open(os.path.join(DATA, name, "tokenizer.json"), "w") as file:
            file.write(compact + "\n")
    return made


def make_rank_file(vocabulary):
    alphabet, extra = {}, 256
    for byte in range(256):
        printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        alphabet[chr(byte if printable else extra)] = byte
        extra += not printable
    ranks = {bytes(alphabet[c] for c in token): rank for token, rank in vocabulary.items() if rank < 1000}
    os.makedirs(os.path.join(DATA, "tiktoken"), exist_ok=True)
    # tiktoken.json beside it is written by hand: Llama-3's pattern and 256 special tokens from id 1000.
    with open(os.path.join(DATA, "tiktoken", "tokenizer.model"), "w") as file:
        for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
            file.write(f"{base64.b64encode(token).decode()} {rank}\n")
    return tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks,
                             special_tokens={"<|begin_of_text|>": 1000, "<|eot_id|>": 1009})


def make_texts():
    rng = random.Random(SEED)
    texts = [
        "", " ", "   ", "\n", " \n \n\n  x", "Hello, world!", "I'll don't WE'VE it's 'S\u017f '\u017f",
        "a  b   c    d\t\te", "123 4567 89012 ١٢٣ Ⅷ ½ ²", "x = self.value[0]  # return x\r\n\treturn x",
        "<|endoftext|> <s> <|begin_of_text|>", "日本語のテキスト。中文，العربية हिन्दी", "👩‍👩‍👧 🇩🇪 👍🏽 e\u0301",
        "\u00a0\u2003\u3000\u180e\u200b\u0085\u2028 x", "\x00\x01\x7f\x1c\x1d", "::a:: b::12::3",
        # Characters of Unicode 15 to 17: letters, digits, marks, and two that only Digits knows.
        "a\U00031350b \U0001e4d0\U0001e4f0 \ua7cb\ua7dc\U00010d40\U00011bf0 \u0cf3\u1c89 \U00011de0\U00016ff4",
        "the quick brown fox " * 40, "a" * 97, "ab" * 300, " " * 200 + "x", "0" * 50, "é" * 130]
    letters = "      \n\n\t''..,,_=()[]:<>#\"012345679abcdefghijklmnopqrstuvwxyzABCTSLéßЖΩक語한😀\u0301\u00a0"
    for _ in range(60):
        texts.append("".join(rng.choice(letters) for _ in range(rng.randrange(1, 50))))
    for _ in range(60):
        values = (rng.randrange(0x110000 - 0x800) for _ in range(rng.randrange(1, 20)))
        texts.append("".join(chr(v if v < 0xD800 else v + 0x800) for v in values))
    return texts


def main():
    texts = make_texts()
    special_texts = [
        "<|endoftext|>a<|im_start|>user\n<|im_end|> b", "<|begin_of_text|>x<|eot_id|><|eot_id|> y",
        "a  <left>  b  <right>\n\n c <s>x", "  <right> \u3000 <left>", "return x returned self éx < é", "none here",
        "<s", "<s><s", "<|eot_id|", "selfreturn x <left>self"]
    cases = {"made_by": f"tokenizers {tokenizers.__version__}, tiktoken {tiktoken.__version__}, seed {SEED}",
             "texts": texts, "special_texts": special_texts, "plain": {}, "special": {}}
    made = make_tokenizers()
    for name, tokenizer in made.items():
        tokenizer.encode_special_tokens = True
        cases["plain"][name] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        tokenizer.encode_special_tokens = False
        cases["special"][name] = [
            tokenizer.encode(text, add_special_tokens=False).ids for text in special_texts]
    encoding = make_rank_file(made["llama3"].get_vocab())
    cases["plain"]["tiktoken"] = [encoding.encode_ordinary(text) for text in texts]
    cases["special"]["tiktoken"] = [encoding.encode(text, allowed_special="all") for text in special_texts]
    with open(os.path.join(DATA, "cases.json"), "w") as file:
        json.dump(cases, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
