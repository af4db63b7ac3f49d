// The autograd border of the ops with a backward of their own, in one file because its header is
// the slowest to compile. Each is checked against the same maths left to autograd.
#include <torch/csrc/autograd/custom_function.h>

#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "fcc/ops/swiglu.h"
#include "ops/attention_by_passes.h"
#include "ops/shared_gradient.h"

namespace fcc {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct RmsNormFunction : Function<RmsNormFunction> {
  static at::Tensor
  forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const RmsNormOutput output = rms_norm_forward(x, weight, eps);
    context->save_for_backward({x, weight, output.inverse_rms});
    return output.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad) {
    const variable_list saved = context->get_saved_variables();
    const RmsNormGradients result = rms_norm_backward(grad[0], saved[0], saved[1], saved[2]);
    return {result.x, result.weight.to(saved[1].scalar_type()), at::Tensor()};
  }
};

struct RopeFunction : Function<RopeFunction> {
  static at::Tensor forward(
      AutogradContext* context,
      const at::Tensor& x,
      const at::Tensor& cos,
      const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rope_rotate(x, {cos, sin}, RopeDirection::kForward);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad) {
    const variable_list saved = context->get_saved_variables();
    return {
        rope_rotate(grad[0], {saved[0], saved[1]}, RopeDirection::kBackward),
        at::Tensor(),
        at::Tensor()};
  }
};

struct SwigluFunction : Function<SwigluFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up) {
    context->save_for_backward({gate_up});
    return swiglu_forward(gate_up);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad) {
    return {swiglu_backward(grad[0], context->get_saved_variables()[0])};
  }
};

struct SharedGradientFunction : Function<SharedGradientFunction> {
  static at::Tensor
  forward(AutogradContext* context, const at::Tensor& master, const at::Tensor& rounded) {
    context->saved_data["dtype"] = static_cast<std::int64_t>(master.scalar_type());
    return rounded.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad) {
    const auto dtype = static_cast<at::ScalarType>(context->saved_data["dtype"].toInt());
    return {grad[0].to(dtype), at::Tensor()};
  }
};

// An IValue holds no plain pointer: this carries the choice, and what it keeps, to the backward.
struct KeptChoice : torch::CustomClassHolder {
  explicit KeptChoice(AttentionChoice value) : choice(std::move(value)) {}
  AttentionChoice choice;
};

struct AttentionFunction : Function<AttentionFunction> {
  static at::Tensor forward(
      AutogradContext* context,
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionChoice& choice,
      const std::optional<at::Tensor>& present_rows) { // an undefined tensor is no argument
    const at::Tensor present = present_rows.value_or(at::Tensor());
    const AttentionForward result = choice.attention->forward_rows(q, k, v, {.present = present});
    context->save_for_backward({q, k, v, result.out, result.lse, present});
    context->saved_data["choice"] =
        c10::IValue::make_capsule(c10::make_intrusive<KeptChoice>(choice));
    return result.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad) {
    const variable_list saved = context->get_saved_variables();
    const auto kept = context->saved_data["choice"].toCapsule();
    const AttentionChoice& choice = static_cast<const KeptChoice&>(*kept).choice;
    const AttentionGradients grads = choice.attention->backward_rows(
        saved[0], saved[1], saved[2], {saved[3], saved[4]}, grad[0], {.present = saved[5]});
    return {grads.q, grads.k, grads.v, at::Tensor(), at::Tensor()};
  }
};

} // namespace

at::Tensor attention_by_passes(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionChoice& choice,
    const at::Tensor& present) {
  return AttentionFunction::apply(
      q, k, v, choice, present.defined() ? std::optional<at::Tensor>(present) : std::nullopt);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNormFunction::apply(x, weight, eps);
}

at::Tensor rope(const at::Tensor& x, const RopeTable& table) {
  return RopeFunction::apply(x, table.cos, table.sin);
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  return SwigluFunction::apply(gate_up);
}

at::Tensor share_gradient(const at::Tensor& master, const at::Tensor& rounded) {
  return SharedGradientFunction::apply(master, rounded);
}

} // namespace fcc
