#!/usr/bin/env python3
"""Makes tests/io/blocks.gguf: one tensor of random blocks for each type that is read, and beside
each what the package `gguf` makes of it in float32, as a tensor NAME.expected.

usage: make_gguf.py OUTPUT        (numpy 2, gguf 0.17 or later)
"""

import sys

import gguf
import numpy

TYPES = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split()
HALVES = {  # where a block of a type holds float16 scales
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}

random = numpy.random.default_rng(7)
writer = gguf.GGUFWriter(sys.argv[1], "llama")
for name in TYPES:
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    rows, blocks = 2, 96 // elements if elements <= 32 else 1
    raw = random.integers(0, 256, (rows, blocks * size), dtype=numpy.uint8)
    if name in HALVES:  # any bits are good but those of NaN and infinity
        for row in raw:
            for block in range(blocks):
                for at in HALVES[name]:
                    half = numpy.float16(random.normal() * 0.1).tobytes()
                    row[block * size + at : block * size + at + 2] = numpy.frombuffer(half, numpy.uint8)
    else:
        values = random.normal(size=(rows, blocks)).astype(numpy.float32)
        raw = gguf.quantize(values, kind).view(numpy.uint8).reshape(rows, -1)
    if name == "F16":
        raw[0, :4] = [1, 0, 0, 128]  # the least positive number, and -0
    expected = gguf.dequantize(raw, kind).astype(numpy.float32)
    writer.add_tensor(name, raw.copy(), raw_shape=raw.shape, raw_dtype=kind)
    writer.add_tensor(name + ".expected", expected)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
