"""Configuration of a Folded Context Condensation model (arXiv 2405.04620) for transformers.

The keys are those of a Llama's config.json, and `fcc` says how segments and memory work:

    arch              "condensation" or "local_global"
    segment_length    L, tokens of a segment
    num_local_layers  layers of the local stack (local_global)
    memory_norm       "shared": the layer's input norm, "none", or "own"
    memory_positions  "window": 0..L-1 before L..2L-1, "global", "same" (both from 0), "none" (not rotated)
    memory_source     "output" or "input" of a layer is remembered
    first_memory      "absent", "zeros" or "learned"
    memory_gradient   "flow" or "stop": whether the gradient goes through the memory
"""

from transformers import PretrainedConfig

CHOICES = {
    "arch": ("condensation", "local_global"),
    "memory_norm": ("shared", "none", "own"),
    "memory_positions": ("window", "global", "same", "none"),
    "memory_source": ("output", "input"),
    "first_memory": ("absent", "zeros", "learned"),
    "memory_gradient": ("flow", "stop"),
}


def complete_section(section):
    """The section `fcc` with every key; a key or value that is not known is an error."""
    whole = {key: values[0] for key, values in CHOICES.items()}
    whole |= {"segment_length": 512, "num_local_layers": 0}
    for key, value in section.items():
        if key not in whole:
            raise ValueError(f"config.json: fcc.{key}: no such key; there are {', '.join(whole)}")
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(f"config.json: fcc.{key}: must be one of {', '.join(CHOICES[key])}; got {value!r}")
        whole[key] = value
    return whole


def unify_rope(theta, scaling, parameters):
    """`rope_parameters` (its keys are those of transformers 5) from any release's spelling."""
    rope = dict(parameters or scaling or {})
    theta = rope.pop("rope_theta", None) or theta
    kind = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
    if kind not in ("default", "llama3"):
        raise ValueError(f"config.json: rope_type must be default or llama3; got {kind!r}")
    keys = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    scaled = {} if kind == "default" else {key: rope[key] for key in keys}
    return {"rope_type": kind, "rope_theta": theta} | scaled


class FccConfig(PretrainedConfig):
    model_type = "fcc"
    keys_to_ignore_at_inference = ["state"]

    def __init__(
        self,
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=None,
        head_dim=None,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
        rope_scaling=None,
        rope_parameters=None,
        tie_word_embeddings=False,
        max_position_embeddings=2048,
        initializer_range=0.02,
        fcc=None,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.head_dim = head_dim or hidden_size // num_attention_heads
        self.rms_norm_eps = rms_norm_eps
        self.rope_parameters = unify_rope(rope_theta, rope_scaling, rope_parameters)
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range = initializer_range
        self.fcc = fcc or {}
        complete_section(self.fcc)  # says what is wrong before weights are read
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.tie_word_embeddings = tie_word_embeddings

    @property
    def section(self):
        """The section `fcc` with every key."""
        return complete_section(self.fcc)
