"""Golden values of the comparison memories (docs/memories.md): tiny models in plain PyTorch, float64.

    python3 tests/golden/make_memories.py [FOLDER]      (default: beside this file)

Written from the papers' equations, token by token and head by head, with autograd for everything, the
gradient that Titans descends included; shares no code with the library. Seed 20240410 and PyTorch 2.11.0 made
the committed files (`made_by` in their metadata). Each holds weights, input, labels, logits, loss and the
gradient of every weight in float64, in the form that tests/golden/golden_case.h reads.
"""

import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

SEED = 20240410
V, D, FF, N, H, G, E, L = 31, 12, 14, 2, 4, 2, 6, 5
EPS, THETA = 1e-5, 100.0
ROWS, TOKENS = 2, 4 * L + 3
torch.set_default_dtype(torch.float64)


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * weight


def rotate(x, positions):
    """x [t, heads, E] at positions [t]; pairs (i, i + E/2)."""
    angles = positions[:, None] * THETA ** (-torch.arange(0, E, 2) / E)  # [t, E/2]
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x[..., : E // 2], x[..., E // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Layer:
    def __init__(self, weights, n):
        self.weights, self.prefix = weights, f"model.layers.{n}."

    def __getitem__(self, name):
        return self.weights[self.prefix + name]

    def heads(self, x, kind, count):
        return (x @ self[f"self_attn.{kind}_proj.weight"].T).view(len(x), count, E)

    def finish(self, x, heads):
        y = x + heads.reshape(len(x), H * E) @ self["self_attn.o_proj.weight"].T
        z = norm(y, self["post_attention_layernorm.weight"])
        inner = F.silu(z @ self["mlp.gate_proj.weight"].T) * (z @ self["mlp.up_proj.weight"].T)
        return y + inner @ self["mlp.down_proj.weight"].T


def attention(q, k, v, num_memory):
    """Each query head by itself; query i sees keys up to i + num_memory."""
    out = []
    for h in range(H):
        g = h // (H // G)
        scores = q[:, h] @ k[:, g].T / E**0.5
        hidden = torch.ones(len(q), len(k)).triu(num_memory + 1).bool()
        out.append(torch.softmax(scores.masked_fill(hidden, -torch.inf), -1) @ v[:, g])
    return torch.stack(out, 1)  # [t, H, E]


def plain_layer(layer, x, memory=None):
    """A Llama's layer over [memory ; x]; memory is normed as x is."""
    a = norm(x, layer["input_layernorm.weight"])
    c = a if memory is None else torch.cat([norm(memory, layer["input_layernorm.weight"]), a])
    extra = len(c) - len(a)
    q = rotate(layer.heads(a, "q", H), torch.arange(extra, len(c)))
    k = rotate(layer.heads(c, "k", G), torch.arange(len(c)))
    return layer.finish(x, attention(q, k, layer.heads(c, "v", G), extra))


class Recurrence:
    """Transformer-XL remembers what enters a layer, ERNIE-Doc what leaves it; no gradient in either."""

    def __init__(self, weights, source):
        self.layers, self.source, self.memory = [Layer(weights, n) for n in range(N)], source, None

    def segment(self, x):
        rows = []
        for n, layer in enumerate(self.layers):
            entered, x = x, plain_layer(layer, x, None if self.memory is None else self.memory[n])
            rows.append((entered if self.source == "input" else x).detach())
        self.memory = rows
        return x


class Rmt:
    def __init__(self, weights, m):
        self.weights, self.m = weights, m
        self.layers = [Layer(weights, n) for n in range(N)]
        self.memory = weights["model.memory_tokens"]

    def segment(self, x):
        t, m = len(x), self.m
        rows = torch.cat([self.memory, x, self.memory])  # [read ; segment ; write]
        for layer in self.layers:
            rows = plain_layer(layer, rows)
        self.memory = norm(rows[m + t :], self.weights["model.norm.weight"])
        return rows[m : m + t]


class HeadMemory:
    """Attention within the segment, and a memory of each key/value head that no position touches."""

    def __init__(self, weights):
        self.layers = [Layer(weights, n) for n in range(N)]
        self.memory = [[self.empty() for _ in range(G)] for _ in range(N)]

    def segment(self, x):
        for n, layer in enumerate(self.layers):
            a = norm(x, layer["input_layernorm.weight"])
            q, k, v = (layer.heads(a, kind, count) for kind, count in (("q", H), ("k", G), ("v", G)))
            positions = torch.arange(len(x))
            local = attention(rotate(q, positions), rotate(k, positions), v, 0)
            x = layer.finish(x, self.mix(n, layer, a, q, k, v, local))
        return x


class Infini(HeadMemory):
    def empty(self):
        return torch.zeros(E, E), torch.zeros(E)

    def mix(self, n, layer, a, q, k, v, local):
        feature = lambda x: F.elu(x) + 1
        gate = torch.sigmoid(layer["self_attn.memory_gate"])
        first = not any(z.any() for _, z in self.memory[n])
        heads = []
        for h in range(H):
            M, z = self.memory[n][h // (H // G)]
            sq = feature(q[:, h])
            read = torch.zeros_like(local[:, h]) if first else sq @ M / (sq @ z)[:, None]  # eq. 3
            heads.append(gate[h] * read + (1 - gate[h]) * local[:, h])  # eq. 6
        for g in range(G):
            M, z = self.memory[n][g]
            total, keys = M, z
            for i in range(len(k)):  # eq. 5 and 4
                sk = feature(k[i, g])
                known = torch.zeros(E) if first else sk @ M / (sk @ z)
                total, keys = total + torch.outer(sk, v[i, g] - known), keys + sk
            self.memory[n][g] = total, keys
        return torch.stack(heads, 1)


class TitansMag(HeadMemory):
    def empty(self):
        return torch.zeros(E, E), torch.zeros(E, E)

    def mix(self, n, layer, a, q, k, v, local):
        unit = lambda x: F.silu(x) / (F.silu(x).pow(2).sum(-1, keepdim=True) + 1e-6).sqrt()
        rates = (a @ layer["self_attn.memory_rates.weight"].T).view(len(a), 3, G)
        rates = torch.sigmoid(rates + torch.tensor([-5.0, 0.0, -2.0])[:, None])
        read = torch.zeros_like(local)
        for g in range(G):
            M, S = self.memory[n][g]
            for t in range(len(a)):
                forget, step, momentum = rates[t, :, g]
                M_t = M if M.requires_grad else M.clone().requires_grad_()
                surprise = (unit(k[t, g]) @ M_t - F.silu(v[t, g])).pow(2).sum()  # an answer's loss
                (gradient,) = torch.autograd.grad(surprise, M_t, create_graph=True)
                S = momentum * S - step * gradient  # momentum
                M = (1 - forget) * M_t + S  # forgetting
                for h in range(g * (H // G), (g + 1) * (H // G)):
                    read[t, h] = unit(q[t, h]) @ M  # eq. 15
            self.memory[n][g] = M, S
        gate = torch.sigmoid(norm(read, layer["self_attn.retrieval_norm.weight"]))
        return norm(local, layer["self_attn.attention_norm.weight"]) * gate  # the gate


# name: (the section fcc, what makes the memory of a row, the weights that it adds)
CASES = {
    "memory_transformer_xl": (
        {"arch": "condensation", "memory_source": "input", "memory_gradient": "stop"},
        lambda w: Recurrence(w, "input"), {}, {}),
    "memory_ernie_doc": (
        {"arch": "condensation", "memory_gradient": "stop"}, lambda w: Recurrence(w, "output"), {}, {}),
    "memory_rmt": (
        {"arch": "rmt", "num_memory_tokens": 3}, lambda w: Rmt(w, 3), {}, {"model.memory_tokens": (3, D)}),
    "memory_infini_attention": ({"arch": "infini_attention"}, Infini, {"self_attn.memory_gate": (H,)}, {}),
    "memory_titans_mag": ({"arch": "titans_mag"}, TitansMag, {
        "self_attn.attention_norm.weight": (E,), "self_attn.retrieval_norm.weight": (E,),
        "self_attn.memory_rates.weight": (3 * G, D)}, {}),
}


def make(name, folder):
    section, memory, of_layer, of_model = CASES[name]
    generator = torch.Generator().manual_seed(SEED)
    shapes = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)} | of_model
    for n in range(N):
        shapes |= {f"model.layers.{n}.{key}": shape for key, shape in ({
            "input_layernorm.weight": (D,), "post_attention_layernorm.weight": (D,),
            "self_attn.q_proj.weight": (H * E, D), "self_attn.k_proj.weight": (G * E, D),
            "self_attn.v_proj.weight": (G * E, D), "self_attn.o_proj.weight": (D, H * E),
            "mlp.gate_proj.weight": (FF, D), "mlp.up_proj.weight": (FF, D),
            "mlp.down_proj.weight": (D, FF)} | of_layer).items()}
    weights = {}
    for key, shape in shapes.items():
        drawn = torch.randn(shape, generator=generator) * 0.35
        weights[key] = (drawn + (1.0 if "norm" in key else 0.0)).requires_grad_()
    ids = torch.randint(V, (ROWS, TOKENS), generator=generator)
    labels = torch.randint(V, (ROWS, TOKENS), generator=generator)
    labels[0, 7] = labels[1, 2] = -100
    starts = torch.zeros(ROWS, -(-TOKENS // L), dtype=torch.bool)
    starts[1, 2] = True  # row 1 begins a document at its third segment

    hidden = []
    for row in range(ROWS):
        carried, segments = memory(weights), []
        for s, x in enumerate(F.embedding(ids[row], weights["model.embed_tokens.weight"]).split(L)):
            carried = memory(weights) if starts[row, s] else carried
            segments.append(carried.segment(x))
        hidden.append(norm(torch.cat(segments), weights["model.norm.weight"]))
    logits = torch.stack(hidden) @ weights["model.embed_tokens.weight"].T
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(ROWS, TOKENS)
    loss = sum(part.sum() / (wanted != -100).sum() for part, wanted in zip(losses.split(L, 1), labels.split(L, 1)))
    loss.backward()

    config = {"vocab_size": V, "hidden_size": D, "intermediate_size": FF, "num_hidden_layers": N,
              "num_attention_heads": H, "num_key_value_heads": G, "head_dim": E, "rms_norm_eps": EPS,
              "rope_theta": THETA, "tie_word_embeddings": True, "fcc": {**section, "segment_length": L}}
    tensors = {"input_ids": ids, "labels": labels, "segment_starts_document": starts.to(torch.uint8),
               "logits": logits.detach(), "loss": loss.detach().view(1)}
    for key, weight in weights.items():
        tensors |= {key: weight.detach(), "grad." + key: weight.grad}
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors", {
        "config": json.dumps(config), "training": json.dumps({"bptt_segments": None, "loss": "segment_mean_sum"}),
        "made_by": f"make_memories.py, seed {SEED}, PyTorch {torch.__version__.split('+')[0]}"})
    print(f"{name}: loss {loss.item():.12f}")


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    for case in CASES:
        make(case, target)
