"""Reads a text as a stream and tells its loss by segment, then writes on from where it ends.

    python python/examples/stream.py MODEL TEXT_FILE

The memory needed is the same for a page and for a library: the text is read segment by segment, and
only the stream's state is kept.
"""

# %% What is read, and by which model
import itertools
import pathlib
import sys

import numpy

import fcc

model_directory, text_file = sys.argv[1:]
model = fcc.load(model_directory)
length = model.config["fcc"]["segment_length"]
ids = model.prompt_ids(pathlib.Path(text_file).read_bytes())
print(f"{model}: {len(ids)} tokens in segments of {length}")


# %% The loss of every segment, in nats a token
def losses_of(logits: numpy.ndarray, targets: list[int]) -> numpy.ndarray:
    """Cross-entropy of targets [t] under logits [t, V]: [t]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return numpy.log(numpy.exp(shifted).sum(axis=1)) - shifted[range(len(targets)), targets]


stream = model.stream()
stream.feed(ids[:1])
places = []
for segment in itertools.count():
    targets = ids[1 + segment * length : 1 + (segment + 1) * length]
    if not targets:
        break
    rows = []
    for token in targets:  # the logits before each token say what it was thought to be
        rows.append(stream.logits()[0])
        stream.feed([token])
    places.append(losses_of(numpy.array(rows), targets).mean())
print("first segments:", *(f"{loss:.3f}" for loss in places[:8]))
print(f"mean of {len(places)} segments: {numpy.mean(places):.3f}")

# %% The same place, kept and gone on from in two ways
stream.save("state.safetensors")
for temperature in (0.0, 0.8):
    again = model.stream("state.safetensors")
    print(f"temperature {temperature}:", "".join(again.generate_text(40, temperature=temperature, seed=1)))
