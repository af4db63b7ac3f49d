#!/usr/bin/env python3
"""Compares `fcc-eval rouge` with the package rouge-score 0.1.2 on random pairs of texts.

    python3 -m venv VENV && VENV/bin/pip install rouge-score==0.1.2
    VENV/bin/python scripts/compare_rouge.py build/cpu/bin/fcc-eval [PAIRS]
    VENV/bin/python scripts/compare_rouge.py --golden      # the rows of tests/eval/rouge_golden.inc

Words are drawn from stems with the suffixes that the stemmer knows, digits, capitals, accents, U+0130
and U+212A; sentences are lines. Exits 1 where a score differs by more than 1e-12.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from rouge_score import rouge_scorer

STEMS = ("relat condition ration valenc hesit digit conform radic differ vil analog vietnam predic oper "
         "feudal decis hope call form sensit trouble agre plaster motor size hopp tann fall hiss fizz fail fil "
         "happ sk enjo fl tr tripl electr good reviv allow infer airlin gyroscop adjust defens irrit replac "
         "depend adopt homolog commun activ angular effect bowdler probat ceas controll roll d l t di li ti "
         "y yy syzyg toy inn out cann how proc exc succ new theo geo philo 19 2024 a the of").split()
SUFFIXES = (" s es ies sses ed ing eed ied y ational tional enci anci izer bli abli alli entli eli ousli "
            "ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi logy icate ative "
            "alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate "
            "iti ous ive ize e ll yed ying ally ably").split(" ")
BETWEEN = [" ", " ", " ", " ", "\n", "\n\n", ", ", ". ", "-", "'", " é ", "\u0130", " \u212a", "\t", "ß", "\u0307"]


TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def word(draw):
    text = draw.choice(STEMS) + draw.choice(SUFFIXES)
    return draw.choice([text, text, text, text.upper(), text.title(), text + draw.choice(SUFFIXES)])


def text(draw, words):
    if draw.random() < 0.02:
        return draw.choice(["", "\n", "...", "é"])
    count = draw.choice([1, 2, 5, 20, 60])
    return "".join(draw.choice(words) + draw.choice(BETWEEN) for _ in range(count))


def golden():
    """Inflected words, so that the stemmer matters; F1 without stemmer, then with."""
    draw, rows = random.Random(7), []
    while len(rows) < 36:
        stems = [draw.choice(STEMS) for _ in range(5)]
        inflected = lambda: draw.choice(stems) + draw.choice(SUFFIXES) + draw.choice(BETWEEN)
        pair = ["".join(inflected() for _ in range(draw.choice([4, 9, 15]))).strip() for _ in range(2)]
        scores = [rouge_scorer.RougeScorer(TYPES, use_stemmer=stem).score(pair[1], pair[0]) for stem in (False, True)]
        values = [float(score[key].fmeasure) for score in scores for key in TYPES]
        if values[:4] != values[4:]:
            texts = ", ".join('"' + text.replace("\n", "\\n").replace("\t", "\\t") + '"' for text in pair)
            rows.append("{" + texts + ", {" + ", ".join(map(repr, values)) + "}},")
    print("// scripts/compare_rouge.py --golden: rouge-score 0.1.2")
    print("\n".join(rows))


def main():
    if sys.argv[1] == "--golden":
        return golden()
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    draw, pairs = random.Random(1), []
    for _ in range(count):
        words = [word(draw) for _ in range(draw.choice([3, 10, 40]))]
        pairs.append((text(draw, words), text(draw, words)))
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for side, name in enumerate(("generated", "reference")):
            lines = "".join(json.dumps({name: pair[side]}) + "\n" for pair in pairs)
            (folder / f"{name}.jsonl").write_text(lines)
        for stem in (False, True):
            subprocess.run(
                [program, "rouge", "--predictions", folder / "generated.jsonl", "--references",
                 folder / "reference.jsonl", "--scores", folder / "scores.jsonl"] + ["--stemmer"] * stem, check=True)
            scorer = rouge_scorer.RougeScorer(TYPES, use_stemmer=stem)
            for line, (generated, reference) in zip((folder / "scores.jsonl").open(), pairs, strict=True):
                ours, theirs = json.loads(line), scorer.score(reference, generated)
                for name, key in zip(("rouge_1", "rouge_2", "rouge_l", "rouge_lsum"), TYPES):
                    for one, other in zip(("precision", "recall", "f1"), theirs[key]):
                        worst = max(worst, abs(ours[name][one] - other))
                        if abs(ours[name][one] - other) > 1e-12:
                            sys.exit(f"{key} {one}, stemmer {stem}: {ours[name][one]}, not {other}, of\n"
                                     f"{generated!r}\n{reference!r}")
    print(f"{count} pairs, with and without stemmer: largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
