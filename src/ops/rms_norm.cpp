#include "fcc/ops/rms_norm.h"

namespace fcc {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf) {
    return rms_norm(x.to(at::kFloat), weight.to(at::kFloat), eps).to(x.scalar_type());
  }
  const at::Tensor scale = x.square().mean(-1, true).add(eps).rsqrt(); // [..., 1]
  return x.mul(scale).mul(weight);
}

} // namespace fcc
