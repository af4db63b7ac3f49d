#!/usr/bin/env python3
"""Compares libfcc's byte-level BPE with Hugging Face tokenizers and with tiktoken.

    pip install tokenizers tiktoken
    ninja -C build/cpu fcc_tokenize
    scripts/compare_tokenizers.py --program build/cpu/tests/fcc_tokenize \\
        --tokenizer Llama-3.2-1B/tokenizer.json --tokenizer Llama-3.2-1B/original/tokenizer.model \\
        --text /usr/lib/python3 --text book.txt --random 1000000 --speed

A tokenizer ending in .json is compared with Hugging Face's `tokenizers`, any other file with
`tiktoken` (its pattern and special tokens come from a tiktoken.json beside it, else they are
Llama-3's). Every id of every document must be equal and every document must decode to itself.

Broken UTF-8 never reaches the other two (they take text), so for such a document the expected ids
are: each valid stretch on its own, each byte between them as the token of that byte, or nothing
where the vocabulary has none (SmolLM2's lacks some bytes; decoding leaves them out).

--speed gives processor seconds (one thread) of both in this one run, on the same documents, the
second time through.
"""

import argparse
import array
import json
import os
import random
import subprocess
import struct
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

DOCUMENT_BYTES = 50_000
BATCH = 20_000
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+")


class HuggingFace:
    def __init__(self, path):
        import tokenizers

        self.name = f"tokenizers {tokenizers.__version__}"
        self.tokenizer = tokenizers.Tokenizer.from_file(path)
        self.tokenizer.encode_special_tokens = True  # special tokens in the text stay text
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        alphabet, extra = {}, 256
        for byte in range(256):
            printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
            alphabet[byte] = chr(byte if printable else extra)
            extra += not printable
        self.byte_ids = [self.tokenizer.token_to_id(alphabet[byte]) for byte in range(256)]
        lacking = sum(id is None for id in self.byte_ids)
        self.name += f" ({lacking} bytes have no token)" if lacking else ""

    def encode(self, texts):
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def time(self, texts):
        for _ in range(2):
            start = time.process_time()
            for text in texts:
                self.tokenizer.encode_batch_fast([text], add_special_tokens=False)
            seconds = time.process_time() - start
        return seconds


class Tiktoken:
    def __init__(self, path):
        import tiktoken
        import tiktoken.load

        self.name = f"tiktoken {tiktoken.__version__}"
        ranks = tiktoken.load.load_tiktoken_bpe(path)
        settings_path = os.path.join(os.path.dirname(path), "tiktoken.json")
        pattern = LLAMA3_PATTERN
        if os.path.exists(settings_path):
            with open(settings_path, encoding="utf-8") as file:
                pattern = json.load(file)["pattern"]
        self.encoding = tiktoken.Encoding(
            "compared", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        self.byte_ids = [ranks[bytes([byte])] for byte in range(256)]

    def encode(self, texts):
        return [self.encoding.encode_ordinary(text) for text in texts]

    def time(self, texts):
        for _ in range(2):
            start = time.process_time()
            for text in texts:
                self.encoding.encode_ordinary(text)
            seconds = time.process_time() - start
        return seconds


def stretches(document):
    """The valid UTF-8 of `document` as str, the bytes between as int."""
    while document:
        try:
            yield document.decode("utf-8")
            return
        except UnicodeDecodeError as error:
            if error.start:
                yield document[: error.start].decode("utf-8")
            yield document[error.start]
            document = document[error.start + 1 :]


def expected_ids(reference, documents):
    parts = [list(stretches(document)) for document in documents]
    texts = [part for document in parts for part in document if isinstance(part, str)]
    encoded = iter(reference.encode(texts))
    result = []
    for document in parts:
        ids = array.array("i")
        for part in document:
            if isinstance(part, str):
                ids.extend(next(encoded))
            elif reference.byte_ids[part] is not None:
                ids.append(reference.byte_ids[part])
        result.append(ids)
    return result


def call(program, tokenizer, documents, *options):
    packed = b"".join(struct.pack("<I", len(document)) + document for document in documents)
    command = [program, tokenizer, *options]
    if not tokenizer.endswith(".json"):
        command += ["--kind", "tiktoken"]
    done = subprocess.run(command, input=packed, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def our_ids(program, tokenizer, documents):
    output = memoryview(call(program, tokenizer, documents))
    at = 0
    for _ in documents:
        (count,) = struct.unpack_from("<I", output, at)
        yield array.array("i", bytes(output[at + 4 : at + 4 + 4 * count]))
        at += 4 + 4 * count


def compare(program, tokenizer, reference, documents, what):
    num_bytes = num_ids = num_broken = different = 0
    for start in range(0, len(documents), BATCH):
        batch = documents[start : start + BATCH]
        expected = expected_ids(reference, batch)
        for document, ids, wanted in zip(batch, our_ids(program, tokenizer, batch), expected):
            num_bytes += len(document)
            num_ids += len(ids)
            num_broken += any(isinstance(part, int) for part in stretches(document))
            if ids != wanted:
                different += 1
                if different <= 3:
                    at = next((i for i, (a, b) in enumerate(zip(ids, wanted)) if a != b), 0)
                    print(f"  differs at id {at}: {ids[at:at + 8].tolist()} for "
                          f"{wanted[at:at + 8].tolist()} in {document[:80]!r}")
    print(f"  {what}: {len(documents)} documents, {num_broken} of them with broken UTF-8, "
          f"{num_bytes / 1e6:.1f} MB, {num_ids} ids: {different} differ")
    return different


def read_documents(paths):
    documents = []
    for path in paths:
        files = [path]
        if os.path.isdir(path):
            files = sorted(os.path.join(root, name) for root, _, names in os.walk(path) for name in names)
        for name in files:
            if not os.path.isfile(name):
                continue
            with open(name, "rb") as file:
                data = file.read()
            # Binary files would be all broken bytes; a text with a few stays in.
            if len(data.decode("utf-8", "ignore").encode()) < 0.98 * len(data) or b"\0" in data:
                continue
            documents += [data[i : i + DOCUMENT_BYTES] for i in range(0, len(data), DOCUMENT_BYTES)]
    return documents


def random_strings(count, rng):
    blocks = [(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0x97F),
              (0xE00, 0xE7F), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2190, 0x23FF),
              (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF),
              (0x10000, 0x1FFFF)]
    ascii_text = "  \t\n\r\n'sS'tLL'lldre.,!?-_=()09123abcdefghijklmnopqrstuvwxyzABCXYZ"

    def any_character():
        value = rng.randrange(0x110000 - 0x800)
        return chr(value if value < 0xD800 else value + 0x800)

    for _ in range(count):
        kind = rng.randrange(4)
        length = rng.randrange(1, 40)
        block = rng.choice(blocks)
        if kind == 0:
            yield "".join(any_character() for _ in range(length))
        elif kind == 1:
            yield "".join(rng.choice(ascii_text) for _ in range(length))
        elif kind == 2:
            yield "".join(chr(rng.randint(*block)) for _ in range(length))
        else:
            yield "".join(
                rng.choice((any_character, lambda: rng.choice(ascii_text),
                            lambda: chr(rng.randint(*block))))() for _ in range(length))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the built fcc_tokenize")
    parser.add_argument("--tokenizer", action="append", required=True, help="file; may come again")
    parser.add_argument("--text", action="append", default=[], help="file or folder; may come again")
    parser.add_argument("--random", type=int, default=100_000, help="number of random strings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broken-share", type=float, default=0.05,
                        help="share of the text documents in which some bytes are damaged")
    parser.add_argument("--speed", action="store_true", help="time both")
    parser.add_argument("--speed-megabytes", type=int, default=10, help="of the texts, drawn at random")
    arguments = parser.parse_args()

    rng = random.Random(arguments.seed)
    texts = read_documents(arguments.text)
    damaged = []
    for document in texts:
        if rng.random() < arguments.broken_share:
            document = bytearray(document)
            for _ in range(1 + len(document) // 2000):
                document[rng.randrange(len(document))] = rng.randrange(128, 256)
        damaged.append(bytes(document))
    strings = [text.encode() for text in random_strings(arguments.random, rng)]

    different = 0
    for path in arguments.tokenizer:
        reference = (HuggingFace if path.endswith(".json") else Tiktoken)(path)
        print(f"{path} against {reference.name}, seed {arguments.seed}")
        different += compare(arguments.program, path, reference, damaged, "texts")
        different += compare(arguments.program, path, reference, strings, "random strings")
        if arguments.speed and texts:
            sample = [text.decode("utf-8", "replace") for text in rng.sample(texts, len(texts))]
            sample = sample[: arguments.speed_megabytes * 1_000_000 // DOCUMENT_BYTES]
            megabytes = sum(len(text.encode()) for text in sample) / 1e6
            theirs = reference.time(sample)
            ours = float(call(arguments.program, path, [text.encode() for text in sample], "--time"))
            print(f"  speed on one core, {megabytes:.1f} MB: {megabytes / ours:.1f} MB/s, "
                  f"{reference.name} {megabytes / theirs:.1f} MB/s: {theirs / ours:.1f} x")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
