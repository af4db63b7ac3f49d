"""Folded Context Condensation (arXiv 2405.04620) in plain torch, for transformers.

A sequence is read in segments of L tokens. Each layer attends in full to its own output for the segment before, its
memory, and causally within the segment; `local_global` (the method's first version) carries the output of its top.
The weights, names and options are libfcc's. Rows of a batch stand wherever their own tokens end: padding, on either
side, is passed over, so a row computes what it would compute alone.

    state = model.new_state()
    model.generate(ids, state=state, max_new_tokens=100)   # the state has then seen all tokens but the last
    model.save_state(state, "chat.state")                  # fcc-generate --load-state goes on from it
"""

from dataclasses import dataclass
from typing import Optional

import torch
from torch import nn
from torch.nn import functional as F
from transformers import GenerationMixin, PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_fcc import FccConfig
from .state_fcc import NUM_LAST_IDS, FccState, load_state, save_state


@dataclass
class FccOutput(ModelOutput):
    loss: Optional[torch.Tensor] = None
    logits: Optional[torch.Tensor] = None  # [B, T, V]
    state: Optional[FccState] = None


def refuse(arguments, *names):
    for name in names:
        if arguments.get(name) is not None and arguments[name] is not False:
            raise ValueError(f"FccForCausalLM: {name} is not supported")


def rms_norm(x, weight, eps):
    wide = x if x.dtype == torch.float64 else x.float()
    normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (normed * weight).to(x.dtype)


def rope(x, rotation):  # x [B, heads, t, E], rotation: cos, sin [B or 1, t, E / 2], or None
    if rotation is None:
        return x
    cos, sin = (part.unsqueeze(1) for part in rotation)
    low, high = x.to(cos.dtype).chunk(2, -1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1).to(x.dtype)


class FccRMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return rms_norm(x, self.weight, self.eps)


class FccAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        D, E = config.hidden_size, config.head_dim
        self.head_dim = E
        self.groups = config.num_attention_heads // config.num_key_value_heads
        self.q_proj = nn.Linear(D, config.num_attention_heads * E, bias=False)
        self.k_proj = nn.Linear(D, config.num_key_value_heads * E, bias=False)
        self.v_proj = nn.Linear(D, config.num_key_value_heads * E, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * E, D, bias=False)

    def heads(self, x):  # [B, t, heads·E] -> [B, heads, t, E]
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def keys_values(self, c, rotation):
        return rope(self.heads(self.k_proj(c)), rotation), self.heads(self.v_proj(c))

    def forward(self, a, keys, values, rotation, mask):  # mask [B or 1, 1, t, keys]: what is seen
        q = rope(self.heads(self.q_proj(a)), rotation)
        keys, values = (x.repeat_interleave(self.groups, 1) for x in (keys, values))
        o = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        return self.o_proj(o.transpose(1, 2).flatten(2))


class FccMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class FccLayer(nn.Module):
    def __init__(self, config, has_memory):
        super().__init__()
        section = config.section
        self.memory_norm = section["memory_norm"]
        self.self_attn = FccAttention(config)
        self.mlp = FccMLP(config)
        self.input_layernorm = FccRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = FccRMSNorm(config.hidden_size, config.rms_norm_eps)
        if has_memory and section["memory_norm"] == "own":
            self.memory_layernorm = FccRMSNorm(config.hidden_size, config.rms_norm_eps)
        if has_memory and section["first_memory"] == "learned":
            self.initial_memory = nn.Parameter(torch.zeros(section["segment_length"], config.hidden_size))

    def norm_memory(self, memory):
        norms = {"shared": self.input_layernorm, "own": getattr(self, "memory_layernorm", None), "none": nn.Identity()}
        return norms[self.memory_norm](memory)

    def forward(self, x, a, keys, values, rotation, mask):  # a: the normed x
        y = x + self.self_attn(a, keys, values, rotation, mask)
        return y + self.mlp(self.post_attention_layernorm(y))


class FccModel(nn.Module):
    """The stacks. `forward` reads tokens and returns what leaves the last layer, before the final norm."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.section = config.section
        self.L = self.section["segment_length"]
        self.local_global = self.section["arch"] == "local_global"
        self.has_first = not self.local_global and self.section["first_memory"] != "absent"
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        num_local = self.section["num_local_layers"] if self.local_global else 0
        self.local_layers = nn.ModuleList(FccLayer(config, False) for _ in range(num_local))
        self.layers = nn.ModuleList(FccLayer(config, not self.local_global) for _ in range(config.num_hidden_layers))
        self.norm = FccRMSNorm(config.hidden_size, config.rms_norm_eps)

    def begin(self, state, num_rows):
        """Readies a new state, or checks that one has as many rows."""
        if state.num_rows == 0:
            state.position, state.num_open = [0] * num_rows, [0] * num_rows
            state.present, state.stale = [False] * num_rows, [self.has_first] * num_rows
            state.last_ids = [[] for _ in range(num_rows)]
        if state.num_rows != num_rows:
            raise ValueError(f"state: must have as many rows as the input, {num_rows}; got {state.num_rows}")

    def rotations(self, positions):  # [rows, t] -> cos, sin [rows, t, E / 2], angles in float64
        config, device = self.config, positions.device
        E = config.head_dim
        rope = config.rope_parameters
        turns = rope["rope_theta"] ** -(torch.arange(0, E, 2, dtype=torch.float64, device=device) / E)
        if rope["rope_type"] == "llama3":
            low, high = rope["low_freq_factor"], rope["high_freq_factor"]
            cycles = rope["original_max_position_embeddings"] * turns / (2 * torch.pi)
            kept = ((cycles - low) / (high - low)).clamp(0, 1)
            turns = (1 - kept) * turns / rope["factor"] + kept * turns
        angles = positions.double().unsqueeze(-1) * turns
        wide = torch.float64 if self.embed_tokens.weight.dtype == torch.float64 else torch.float32
        return angles.cos().to(wide), angles.sin().to(wide)

    def segment_starts(self, state):
        """Where each row's open segment stands, [B] on the host."""
        kind = "window" if self.local_global else self.section["memory_positions"]
        seen = [self.has_first or present for present in state.present]
        return [position if kind == "global" else self.L if kind == "window" and saw else 0
                for position, saw in zip(state.position, seen)]

    def refresh_memory(self, state):
        """Keys and values of the memory that newly begun segments see."""
        rows = [row for row, stale in enumerate(state.stale) if stale]
        if not rows:
            return
        state.stale = [False] * state.num_rows
        weight = self.embed_tokens.weight
        index = torch.tensor(rows, device=weight.device)
        present = torch.tensor([state.present[row] for row in rows], device=weight.device).view(-1, 1, 1)
        steps = torch.arange(self.L, device=weight.device)
        rotation = None
        if self.local_global or self.section["memory_positions"] != "none":
            firsts = [start - self.L for start in self.segment_starts(state)]
            if not self.local_global and self.section["memory_positions"] == "same":
                firsts = [0] * state.num_rows
            rotation = self.rotations(torch.tensor([[firsts[row]] for row in rows], device=weight.device) + steps)
        causal = (steps <= steps.unsqueeze(1)).view(1, 1, self.L, self.L)
        fresh, hidden = [], None
        for n, layer in enumerate(self.layers):
            if self.local_global:  # the memory goes up through the layers beside the segment
                hidden = state.memory[0][index] if n == 0 else hidden
                c = layer.input_layernorm(hidden)
            else:
                first = layer.initial_memory if self.section["first_memory"] == "learned" else weight.new_zeros(1, 1)
                first = first.expand(len(rows), self.L, weight.shape[1])
                visible = first if state.memory is None else torch.where(present, state.memory[n][index], first)
                c = layer.norm_memory(visible)
            kv = layer.self_attn.keys_values(c, rotation)
            if self.local_global and n + 1 < len(self.layers):
                hidden = layer(hidden, c, *kv, rotation, causal)
            fresh.append(kv)
        if len(rows) < state.num_rows:
            old = state.memory_kv or [[x.new_zeros(state.num_rows, *x.shape[1:]) for x in kv] for kv in fresh]
            fresh = [[o.index_copy(0, index, f) for o, f in zip(*pair)] for pair in zip(old, fresh)]
        state.memory_kv = fresh

    def advance(self, state, ids, counts):
        """Reads the first counts[b] of ids [B, t] in each row b, which fit in its open segment: [B, t, D]."""
        self.refresh_memory(state)
        (B, t), device = ids.shape, ids.device
        width = max(state.num_open) + t
        uniform = min(state.num_open) == max(state.num_open)
        num_open = torch.tensor(state.num_open, device=device).unsqueeze(1)
        slots = num_open + torch.arange(t, device=device)  # [B, t]; those beyond a row's count are written over later

        def placed(old, new):  # [B, …, w, E] with [B, …, t, E] at the rows' slots
            if old is None or uniform:
                return new if old is None or old.shape[-2] == 0 else torch.cat([old, new], -2)
            index = slots.view(B, *[1] * (new.dim() - 3), t, 1).expand_as(new)
            return F.pad(old, (0, 0, 0, width - old.shape[-2])).scatter(-2, index, new)

        if state.open_kv is None:
            state.open_kv = [(None, None)] * (len(self.local_layers) + len(self.layers))
            state.rows = [None] * (1 if self.local_global else len(self.layers))
        own = (torch.arange(width, device=device) <= slots.unsqueeze(-1)).unsqueeze(1)  # [B, 1, t, width]
        seen, num_local = own, len(self.local_layers)
        if state.memory_kv is not None:
            saw = torch.tensor([self.has_first or present for present in state.present], device=device)
            seen = torch.cat([saw.view(B, 1, 1, 1).expand(B, 1, t, self.L), own], -1)
        starts = torch.tensor(self.segment_starts(state), device=device).unsqueeze(1)
        local_rotation = self.rotations(slots) if num_local > 0 else None
        rotation = self.rotations(starts + slots)
        x, kvs, rows = self.embed_tokens(ids), [], []
        for n, layer in enumerate([*self.local_layers, *self.layers]):
            turn, mask = (local_rotation, own) if n < num_local else (rotation, seen)
            a = layer.input_layernorm(x)
            kv = [placed(*pair) for pair in zip(state.open_kv[n], layer.self_attn.keys_values(a, turn))]
            kvs.append(kv)
            if n >= num_local and state.memory_kv is not None:
                kv = [torch.cat(pair, -2) for pair in zip(state.memory_kv[n - num_local], kv)]
            entered, x = x, layer(x, a, *kv, turn, mask)
            if not self.local_global:
                remembered = x if self.section["memory_source"] == "output" else entered
                stops = self.section["memory_gradient"] == "stop"
                rows.append(remembered.detach() if stops else remembered)
        state.open_kv = kvs
        state.rows = [placed(*pair) for pair in zip(state.rows, rows or [x])]
        state.open_ids = placed(None if state.open_ids is None else state.open_ids.unsqueeze(-1), ids.unsqueeze(-1))[..., 0]
        state.num_open = [opened + count for opened, count in zip(state.num_open, counts)]
        self.close_segments(state)
        return x

    def close_segments(self, state):
        """Full segments become memories; what lies beyond the longest open one is dropped."""
        closing = [opened == self.L for opened in state.num_open]
        if any(closing):
            full = [rows[:, : self.L] for rows in state.rows]
            if not all(closing):
                chosen = torch.tensor(closing, device=full[0].device).view(-1, 1, 1)
                old = state.memory or [torch.zeros_like(rows) for rows in full]
                full = [torch.where(chosen, *pair) for pair in zip(full, old)]
            state.memory = full
            state.present = [a or b for a, b in zip(state.present, closing)]
            state.stale = [a or b for a, b in zip(state.stale, closing)]
            state.position = [p + self.L * c for p, c in zip(state.position, closing)]
            state.num_open = [0 if c else opened for opened, c in zip(state.num_open, closing)]
        width = max(state.num_open)
        state.open_kv = [[x[..., :width, :] for x in kv] for kv in state.open_kv]
        state.rows = [rows[:, :width] for rows in state.rows]
        state.open_ids = state.open_ids[:, :width]

    def forward(self, ids, state, attention_mask=None):
        """Reads the tokens of ids [B, T] whose mask is not 0; where it is, the result [B, T, D] is 0."""
        (B, T), device = ids.shape, ids.device
        self.begin(state, B)
        order = torch.arange(T, device=device).expand(B, T)  # places of a row's tokens, padding last
        left = [T] * B
        if attention_mask is not None:
            kept = attention_mask[:, -T:].bool()
            order = torch.argsort((~kept).to(torch.int8), dim=1, stable=True)
            left = kept.sum(1).tolist()
        ids = ids.gather(1, order)
        done, pieces, places = [0] * B, [], []
        while any(left):
            counts = [min(self.L - opened, rest) for opened, rest in zip(state.num_open, left)]
            steps = torch.arange(max(counts), device=device)
            columns = (torch.tensor(done, device=device).unsqueeze(1) + steps).clamp(max=T - 1)
            x = self.advance(state, ids.gather(1, columns), counts)
            valid = steps < torch.tensor(counts, device=device).unsqueeze(1)  # [B, t]
            pieces.append(x[valid])
            places.append((order.gather(1, columns) + T * torch.arange(B, device=device).unsqueeze(1))[valid])
            last = x[torch.arange(B, device=device), torch.tensor(counts, device=device).clamp(min=1) - 1]
            moved = torch.tensor(counts, device=device).unsqueeze(1) > 0
            state.last_hidden = last if state.last_hidden is None else torch.where(moved, last, state.last_hidden)
            done = [a + b for a, b in zip(done, counts)]
            left = [a - b for a, b in zip(left, counts)]
        for row, count in enumerate(done):
            tail = ids[row, max(count - NUM_LAST_IDS, 0) : count].tolist()
            state.last_ids[row] = (state.last_ids[row] + tail)[-NUM_LAST_IDS:]
        hidden = self.embed_tokens.weight.new_zeros(B * T, self.config.hidden_size)
        if pieces:
            hidden = hidden.index_copy(0, torch.cat(places), torch.cat(pieces))
        return hidden.view(B, T, -1)


class FccForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = FccConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _is_stateful = True  # a state cannot go back
    _no_split_modules = ["FccLayer"]
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.model = FccModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, FccRMSNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, FccLayer) and hasattr(module, "initial_memory"):
            nn.init.zeros_(module.initial_memory)

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def set_input_embeddings(self, value):
        self.model.embed_tokens = value

    def get_output_embeddings(self):
        return self.lm_head

    def set_output_embeddings(self, value):
        self.lm_head = value

    def new_state(self):
        """A state before any token, for `forward` and `generate` to advance."""
        return FccState()

    def save_state(self, state, path):
        save_state(self, state, path)

    def load_state(self, path):
        return load_state(self, path)

    def next_logits(self, state):
        """The logits after the last token that the state has seen, [B, V]."""
        if state.last_hidden is None:
            raise ValueError("next_logits: the state does not tell them; feed it a token")
        return self.lm_head(self.model.norm(state.last_hidden))

    def forward(self, input_ids=None, attention_mask=None, state=None, labels=None, logits_to_keep=0, use_cache=None, **kwargs):
        """Logits [B, T, V] of tokens [B, T], and the loss of `labels`, which are shifted here.

        `state` is advanced in place; None: every row begins anew. `attention_mask` [B, T]: 0 for padding.
        """
        refuse(kwargs, "inputs_embeds", "past_key_values", "output_attentions", "output_hidden_states")
        if input_ids is None:
            raise ValueError("FccForCausalLM: needs input_ids")
        state = FccState() if state is None else state
        hidden = self.model(input_ids, state, attention_mask)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(self.model.norm(hidden[:, kept]))
        loss = None
        if labels is not None:
            counts = {"num_items_in_batch": kwargs["num_items_in_batch"]} if "num_items_in_batch" in kwargs else {}
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **counts)
        return FccOutput(loss=loss, logits=logits, state=None if use_cache is False else state)

    # What `generate` asks for. The state stands for all tokens before the last one.

    @classmethod
    def _supports_default_dynamic_cache(cls):
        return False

    def generate(self, *args, **kwargs):
        asked = (kwargs.get("generation_config") or self.generation_config).to_dict() | kwargs
        refuse(asked, "inputs_embeds", "past_key_values", "output_attentions", "output_hidden_states")
        return super().generate(*args, **kwargs)

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, state=None, continues=False, **kwargs):
        if continues:
            return {"input_ids": input_ids[:, -1:], "state": state, "logits_to_keep": 1}
        if attention_mask is not None and not attention_mask[:, -1].all():
            raise ValueError("FccForCausalLM.generate: prompts must be padded on the left")
        return {"input_ids": input_ids, "attention_mask": attention_mask, "state": state, "logits_to_keep": 1}

    def _update_model_kwargs_for_generation(self, outputs, model_kwargs, *args, **kwargs):
        model_kwargs = super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        if outputs.state is not None:
            model_kwargs |= {"state": outputs.state, "continues": True}
        return model_kwargs

    def _beam_search(self, *args, **kwargs):
        raise NotImplementedError("FccForCausalLM: num_beams must be 1")
