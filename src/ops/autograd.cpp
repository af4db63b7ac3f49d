// The autograd border of the ops with a backward of their own, in one file because its header is
// the slowest to compile. Each is checked against the same maths left to autograd.
#include <torch/csrc/autograd/custom_function.h>

#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "fcc/ops/shared_gradient.h"
#include "fcc/ops/swiglu.h"

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

} // namespace

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
