"""What a Folded Context Condensation model carries from token to token, and its file.

The file is libfcc's own (docs/formats.md, "Memory states"): a state saved here continues in fcc-generate, and
the other way round.
"""

import copy
import hashlib
import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file

FORMAT = "fcc_memory_state_1"
NUM_LAST_IDS = 8  # tokens that are kept for whoever turns tokens into text


class FccState:
    """The memory of B rows and their open segments; constant in size. Advanced in place by the model.

    Rows may stand at different places. Letters: B rows, N layers, L tokens of a segment, w tokens of the longest
    open segment, G key/value heads, E head width, D model width. Tensors are replaced, never written to, so a
    copy shares nothing that changes.
    """

    def __init__(self):
        self.position = None  # [B] tokens in closed segments, on the host
        self.num_open = None  # [B] tokens of the open segment, on the host
        self.present = None  # [B] whether the row has a memory, on the host
        self.stale = None  # [B] whether the keys of its memory are still to be computed
        self.memory = None  # N (local_global: 1) of [B, L, D]; None before any segment is closed
        self.memory_kv = None  # N of (keys, values) [B, G, L, E] of what the open segment sees as memory
        self.open_kv = None  # N of (keys, values) [B, G, w, E]; those of the local stack come first
        self.rows = None  # the next memory's rows so far: N (1) of [B, w, D]
        self.open_ids = None  # [B, w]
        self.last_ids = None  # B lists of the last tokens
        self.last_hidden = None  # [B, D] after each row's last token, before the final norm; None: not known

    @property
    def num_rows(self):
        return 0 if self.position is None else len(self.position)

    def num_tokens(self):
        """Tokens so far, of each row."""
        return [closed + opened for closed, opened in zip(self.position, self.num_open)]

    def copy(self):
        """Another state that goes on from here by itself."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list):
                setattr(other, name, list(value))
        return other

    def rows_at(self, index):
        """The state of the rows of `index`, which may name a row several times."""
        return self._map(lambda t: t.index_select(0, torch.tensor(index, device=t.device)), lambda v: [v[i] for i in index])

    def detach(self):
        """The same values, cut from the graph of gradients."""
        return self._map(lambda t: t.detach(), list)

    def _map(self, of_tensor, of_rows):
        def mapped(value):
            if isinstance(value, torch.Tensor):
                return of_tensor(value)
            return type(value)(mapped(item) for item in value) if isinstance(value, (list, tuple)) else value

        other = FccState()
        per_row = ("position", "num_open", "present", "stale", "last_ids")
        for name, value in vars(self).items():
            setattr(other, name, of_rows(value) if name in per_row and value is not None else mapped(value))
        return other


def number_text(value):
    """A number as libfcc writes it: the shorter one of the fixed and the scientific form."""
    if isinstance(value, int):
        return str(value)
    mantissa, _, exponent = repr(float(value)).partition("e")
    digits = mantissa.replace(".", "").rstrip("0") if mantissa.endswith(".0") else mantissa.replace(".", "")
    point = len(mantissa.partition(".")[0]) + int(exponent or 0)  # digits before the point
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0") or "0"
    if digits == "0":
        return "0.0"
    if point <= 0:
        fixed = "0." + "0" * -point + digits
    elif point >= len(digits):
        fixed = digits + "0" * (point - len(digits))
    else:
        fixed = digits[:point] + "." + digits[point:]
    power = point - 1
    scientific = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{'-' if power < 0 else '+'}{abs(power):02d}"
    text = scientific if len(scientific) < len(fixed) else fixed
    return text if "." in text or "e" in text else text + ".0"


def config_text(config):
    """The part of the model's hash that its shape makes: libfcc's config.json in bfloat16."""
    section = config.section
    folds = section["arch"] == "condensation"
    added = not folds or section["memory_norm"] == "own" or section["first_memory"] == "learned"
    names = ["arch", "segment_length"] + (
        ["memory_norm", "memory_positions", "memory_source", "first_memory"] if folds else ["num_local_layers"])
    if folds and section["memory_gradient"] == "stop":  # models from before the key keep their hashes
        names.append("memory_gradient")
    rope = config.rope_parameters
    scaling = None
    if rope["rope_type"] == "llama3":
        factors = {key: float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor")}
        length = rope["original_max_position_embeddings"]
        scaling = {"rope_type": "llama3"} | factors | {"original_max_position_embeddings": length}
    root = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": float(config.rms_norm_eps),
        "rope_theta": float(rope["rope_theta"]),
        "rope_scaling": scaling,
        "tie_word_embeddings": config.tie_word_embeddings,
        "max_position_embeddings": config.max_position_embeddings,
        "initializer_range": float(config.initializer_range),
        "fcc": {name: section[name] for name in names},
        "architectures": ["FccForCausalLM" if added else "LlamaForCausalLM"],
        "model_type": "fcc" if added else "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "bfloat16",
    }

    def text(value, indent):
        if isinstance(value, dict):
            inner = ",\n".join(f'{indent}  "{key}": {text(item, indent + "  ")}' for key, item in value.items())
            return "{\n" + inner + "\n" + indent + "}"
        if isinstance(value, list):
            return "[" + ", ".join(text(item, indent) for item in value) + "]"
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number_text(value) if is_number else json.dumps(value)

    return text(root, "") + "\n"


def model_hash(model):
    """The hash by which libfcc knows a model: over its shape and its weights in bfloat16."""
    config, weights = model.config, model.state_dict()
    names = ["model.embed_tokens.weight"]
    kinds = ["input_layernorm.weight", "memory_layernorm.weight"]
    kinds += [f"self_attn.{name}_proj.weight" for name in ("q", "k", "v", "o")] + ["post_attention_layernorm.weight"]
    kinds += [f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")] + ["initial_memory"]
    # Kind by kind, each over all layers; but q, k and v, and gate and up, lie together in a layer.
    groups = [kinds[:1], kinds[1:2], kinds[2:5], kinds[5:6], kinds[6:7], kinds[7:9], kinds[9:10], kinds[10:]]
    for stack, layers in (("model.local_layers", model.model.local_layers), ("model.layers", model.model.layers)):
        names += [f"{stack}.{n}.{kind}" for group in groups for n in range(len(layers)) for kind in group]
    names += ["model.norm.weight"] + ([] if config.tie_word_embeddings else ["lm_head.weight"])
    text = config_text(config)
    for name in names:
        if name in weights:
            values = weights[name].detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint8)
            text += f"{name} {hashlib.sha256(values.numpy().tobytes()).hexdigest()}\n"
    return hashlib.sha256(text.encode()).hexdigest()


def content_hash(tensors, position):
    text = position
    for name in sorted(tensors):
        values = tensors[name].contiguous().reshape(-1).view(torch.uint8)
        text += f"|{name}:{hashlib.sha256(values.numpy().tobytes()).hexdigest()}"
    return hashlib.sha256(text.encode()).hexdigest()


def save_state(model, state, path):
    """Writes the state of rows that stand at one place."""
    if state.num_rows == 0:
        raise ValueError("save_state: the state has seen no token yet")
    if len(set(state.position)) > 1 or len(set(state.num_open)) > 1:
        raise ValueError("save_state: rows of one file must have as many tokens each; save state.rows_at([i])")
    tensors = {}
    if state.memory is not None and any(state.present):
        tensors["memory"] = torch.stack(state.memory).detach().cpu().contiguous()
        if not all(state.present):
            tensors["present"] = torch.tensor(state.present)
    if state.num_open[0] > 0:
        tensors["partial_ids"] = state.open_ids.cpu().contiguous()
    length = min(len(ids) for ids in state.last_ids)
    if length > 0:
        tensors["last_ids"] = torch.tensor([ids[-length:] for ids in state.last_ids])
    position = str(state.position[0])
    metadata = {"format": FORMAT, "model_hash": model_hash(model), "position": position}
    save_file(tensors, path, metadata | {"sha256": content_hash(tensors, position)})


@torch.no_grad()
def load_state(model, path):
    """The state in a file that this model made, here or in libfcc."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: must be of format {FORMAT}; got {metadata.get('format')!r}")
    if metadata["model_hash"] != model_hash(model):
        raise ValueError(f"{path}: was saved with another model")
    if metadata["sha256"] != content_hash(tensors, metadata["position"]):
        raise ValueError(f"{path}: was changed or damaged after it was written")
    state, weight = FccState(), model.model.embed_tokens.weight
    memory, partial = tensors.get("memory"), tensors.get("partial_ids")
    num_rows = memory.shape[1] if memory is not None else partial.shape[0]
    model.model.begin(state, num_rows)
    state.position = [int(metadata["position"])] * num_rows
    if memory is not None:
        state.memory = list(memory.to(weight.device, weight.dtype))
        state.present = tensors["present"].tolist() if "present" in tensors else [True] * num_rows
        state.stale = [True] * num_rows
        if model.config.section["arch"] == "local_global" or model.config.section["memory_source"] == "output":
            state.last_hidden = state.memory[-1][:, -1]
    if partial is not None:
        model.model(partial.to(weight.device), state=state)
    if "last_ids" in tensors:
        state.last_ids = tensors["last_ids"].tolist()
    return state
