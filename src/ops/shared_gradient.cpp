#include "fcc/ops/shared_gradient.h"

#include <torch/csrc/autograd/custom_function.h>

namespace fcc {
namespace {

struct SharedGradient : torch::autograd::Function<SharedGradient> {
  static at::Tensor forward(
      torch::autograd::AutogradContext* context,
      const at::Tensor& master,
      const at::Tensor& rounded) {
    context->saved_data["dtype"] = static_cast<std::int64_t>(master.scalar_type());
    return rounded.detach();
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& grad) {
    const auto dtype = static_cast<at::ScalarType>(context->saved_data["dtype"].toInt());
    return {grad[0].to(dtype), at::Tensor()};
  }
};

} // namespace

at::Tensor share_gradient(const at::Tensor& master, const at::Tensor& rounded) {
  return SharedGradient::apply(master, rounded);
}

} // namespace fcc
