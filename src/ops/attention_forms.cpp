#include "ops/attention_forms.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "ops/precision.h"

namespace fcc {
namespace {

/// The rows as one cell's; the keys before the segment's own are its memory.
CellAttentionInput
cell_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& present) {
  const std::int64_t length = q.size(1), num_memory = k.size(1) - length;
  CellAttentionInput cell;
  cell.q = q.unsqueeze(0);
  cell.k = k.narrow(1, num_memory, length).unsqueeze(0);
  cell.v = v.narrow(1, num_memory, length).unsqueeze(0);
  if (num_memory > 0) {
    cell.k_mem = k.narrow(1, 0, num_memory).unsqueeze(0);
    cell.v_mem = v.narrow(1, 0, num_memory).unsqueeze(0);
    cell.has_memory = present.defined() ? present.unsqueeze(0) : at::Tensor();
  }
  return cell;
}

void check_rows(const at::Tensor& q, const at::Tensor& k, const AttentionRowOptions& options) {
  check(k.size(1) >= q.size(1), "Attention", "keys must be at least as many as queries");
  check(
      options.visible == VisibleKeys::kCausal,
      "Attention",
      "only cuDNN supports attention without a mask");
}

at::Tensor cells(const at::Tensor& x, std::int64_t first, std::int64_t count) {
  return x.defined() ? x.slice(0, first, first + count) : x;
}

/// Cells `first` … of all; without memory where that is said.
CellAttentionInput
part_of(const CellAttentionInput& all, std::int64_t first, std::int64_t count, bool with_memory) {
  CellAttentionInput part;
  part.q = cells(all.q, first, count);
  part.k = cells(all.k, first, count);
  part.v = cells(all.v, first, count);
  if (with_memory) {
    part.k_mem = cells(all.k_mem, first, count);
    part.v_mem = cells(all.v_mem, first, count);
  }
  return part;
}

/// [C, B, …] → [C·B, …]: a view where B or C is 1.
at::Tensor rows_of(const at::Tensor& x) {
  return x.flatten(0, 1);
}

/// Keys or values of all rows, memory first: [C·B, M + L, G, E].
at::Tensor joined(const at::Tensor& memory, const at::Tensor& current) {
  return memory.defined() ? rows_of(at::cat({memory, current}, 2)) : rows_of(current);
}

/// Every row of `input` has the memory that it names, or none.
AttentionForward forward_alike(const Attention& backend, const CellAttentionInput& input) {
  return backend.forward_rows(
      rows_of(input.q), joined(input.k_mem, input.k), joined(input.v_mem, input.v), {});
}

void put_alike(
    const Attention& backend,
    const CellAttentionInput& input,
    at::Tensor out,
    at::Tensor lse) {
  const AttentionForward result = forward_alike(backend, input);
  out.copy_(result.out.view(out.sizes()));
  lse.copy_(result.lse.view(lse.sizes()));
}

AttentionGradients backward_alike(
    const Attention& backend,
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out) {
  return backend.backward_rows(
      rows_of(input.q),
      joined(input.k_mem, input.k),
      joined(input.v_mem, input.v),
      {rows_of(out), rows_of(lse)},
      rows_of(grad_out),
      {});
}

/// Gradients by rows as those of cells; the keys' memory part where there is one.
CellAttentionGrads by_cells(const AttentionGradients& rows, const CellAttentionInput& input) {
  const std::int64_t num_cells = input.q.size(0), batch = input.q.size(1);
  const std::int64_t num_memory = input.k_mem.defined() ? input.k_mem.size(2) : 0;
  const auto split = [&](const at::Tensor& x) { return x.unflatten(0, {num_cells, batch}); };
  CellAttentionGrads grads;
  grads.q = split(rows.q);
  grads.k = split(rows.k).slice(2, num_memory);
  grads.v = split(rows.v).slice(2, num_memory);
  if (num_memory > 0) {
    grads.k_mem = split(rows.k).slice(2, 0, num_memory);
    grads.v_mem = split(rows.v).slice(2, 0, num_memory);
  }
  return grads;
}

void put(const at::Tensor& value, at::Tensor target) {
  target.copy_(value);
}

/// `given`, or zero for the memory's part where it has none, into cells `first` … of `grads`.
void put_grads(
    const CellAttentionGrads& given,
    const CellAttentionGrads& grads,
    std::int64_t first,
    std::int64_t count) {
  put(given.q, cells(grads.q, first, count));
  put(given.k, cells(grads.k, first, count));
  put(given.v, cells(grads.v, first, count));
  if (!grads.k_mem.defined()) {
    return;
  }
  for (const auto& [value, target] :
       {std::pair{given.k_mem, grads.k_mem}, std::pair{given.v_mem, grads.v_mem}}) {
    at::Tensor part = cells(target, first, count);
    if (value.defined()) {
      part.copy_(value);
    } else {
      part.zero_();
    }
  }
}

} // namespace

double softmax_scale(std::int64_t head_dim) {
  return 1.0 / std::sqrt(static_cast<double>(head_dim));
}

at::Tensor readable(const at::Tensor& x) {
  const std::int64_t step = 16 / static_cast<std::int64_t>(x.element_size());
  bool fits = x.stride(3) == 1 && reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
  for (int d = 0; d < 3; ++d) {
    fits = fits && (x.size(d) == 1 || (x.stride(d) > 0 && x.stride(d) % step == 0));
  }
  return fits ? x : x.contiguous();
}

AttentionForward AttentionByCells::forward_rows(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionRowOptions& options) const {
  check_rows(q, k, options);
  AttentionForward result;
  result.out = at::empty(q.sizes(), q.options());
  result.lse = at::empty(
      {q.size(0), q.size(2), q.size(1)}, q.options().dtype(accumulate_type(q.scalar_type())));
  forward(
      cell_of(readable(q), readable(k), readable(v), options.present),
      result.out.unsqueeze(0),
      result.lse.unsqueeze(0));
  return result;
}

AttentionGradients AttentionByCells::backward_rows(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionForward& forward,
    const at::Tensor& grad_out,
    const AttentionRowOptions& options) const {
  check_rows(q, k, options);
  const AttentionGradients result{
      at::empty(q.sizes(), q.options()),
      at::empty(k.sizes(), k.options()),
      at::empty(v.sizes(), v.options())};
  const CellAttentionInput grads = cell_of(result.q, result.k, result.v, {});
  backward(
      cell_of(readable(q), readable(k), readable(v), options.present),
      forward.out.unsqueeze(0),
      forward.lse.unsqueeze(0),
      readable(grad_out).unsqueeze(0),
      {.q = grads.q, .k = grads.k, .v = grads.v, .k_mem = grads.k_mem, .v_mem = grads.v_mem});
  return result;
}

void AttentionByRows::forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse)
    const {
  const std::int64_t num_cells = input.q.size(0);
  if (!input.k_mem.defined() || !input.has_memory.defined()) {
    put_alike(*this, part_of(input, 0, num_cells, true), out, lse);
    return;
  }
  if (input.last_cell_has_none) {
    const std::int64_t last = num_cells - 1;
    if (last > 0) {
      put_alike(*this, part_of(input, 0, last, true), cells(out, 0, last), cells(lse, 0, last));
    }
    put_alike(*this, part_of(input, last, 1, false), cells(out, last, 1), cells(lse, last, 1));
    return;
  }
  const AttentionForward with = forward_alike(*this, part_of(input, 0, num_cells, true));
  const AttentionForward without = forward_alike(*this, part_of(input, 0, num_cells, false));
  const auto choose = [&](const at::Tensor& a, const at::Tensor& b, at::Tensor target) {
    const at::Tensor flags = input.has_memory.unsqueeze(2).unsqueeze(3);
    target.copy_(at::where(
        target.dim() == 5 ? flags.unsqueeze(4) : flags,
        a.view(target.sizes()),
        b.view(target.sizes())));
  };
  choose(with.out, without.out, out);
  choose(with.lse, without.lse, lse);
}

void AttentionByRows::backward(
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out,
    const CellAttentionGrads& grads) const {
  const std::int64_t num_cells = input.q.size(0);
  const auto gradients = [&](std::int64_t first, std::int64_t count, bool with_memory) {
    const CellAttentionInput part = part_of(input, first, count, with_memory);
    return by_cells(
        backward_alike(
            *this,
            part,
            cells(out, first, count),
            cells(lse, first, count),
            cells(grad_out, first, count)),
        part);
  };
  if (!input.k_mem.defined() || !input.has_memory.defined()) {
    put_grads(gradients(0, num_cells, true), grads, 0, num_cells);
    return;
  }
  if (input.last_cell_has_none) {
    const std::int64_t last = num_cells - 1;
    if (last > 0) {
      put_grads(gradients(0, last, true), grads, 0, last);
    }
    put_grads(gradients(last, 1, false), grads, last, 1);
    return;
  }
  // A row's pass of the wrong kind reads a log-sum-exp that is not its own: it may overflow, and
  // nothing of it is chosen.
  const CellAttentionGrads with = gradients(0, num_cells, true);
  const CellAttentionGrads without = gradients(0, num_cells, false);
  const at::Tensor flags = input.has_memory.view({num_cells, input.q.size(1), 1, 1, 1});
  const auto choose = [&](const at::Tensor& a, const at::Tensor& b) {
    return at::where(flags, a, b);
  };
  const at::Tensor zero = at::zeros({}, with.q.options());
  put_grads(
      {choose(with.q, without.q),
       choose(with.k, without.k),
       choose(with.v, without.v),
       choose(with.k_mem, zero),
       choose(with.v_mem, zero)},
      grads,
      0,
      num_cells);
}

} // namespace fcc
