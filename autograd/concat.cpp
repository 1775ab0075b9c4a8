#include "autograd/ops.h"
#include "core/error.h"

namespace lgms::autograd {

// y[..., first_i + c] = part_i[..., c]. The gradient of a part is a slice of dy: no copy.
// Throws Error{usage} where there is no part, or the parts differ in anything but channels.
Variable concat(std::span<const Variable> parts) {
  check(!parts.empty(), ErrorKind::usage, "[concat] parts: expected at least one, got none");
  std::vector<int64_t> channels;
  int64_t c = 0;
  for (const Variable& part : parts) {
    const Shape want = parts[0].shape().with_channels(part.shape().channels());
    check(part.shape() == want, ErrorKind::usage, "[concat] part ", channels.size(), ": expected ", want, ", got ",
          part.shape());
    channels.push_back(want.channels());
    c += want.channels();
  }
  const Remake forward = [c, channels](std::span<const Tensor> from) {
    const Tensor y = Tensor::empty(from[0].shape().with_channels(c), from[0].dtype());
    int64_t first = 0;
    for (size_t i = 0; i < from.size(); first += channels[i++]) copy(from[i], y.slice(first, channels[i]));
    return y;
  };
  std::vector<Tensor> values;
  for (const Variable& part : parts) values.push_back(part.value());
  return Variable::from_op("concat", forward(values), {parts.begin(), parts.end()}, {},
                           [channels](std::span<const Tensor>, const Tensor& dy, Grads& grads) {
                             int64_t at = 0;
                             for (size_t i = 0; i < channels.size(); at += channels[i++])
                               if (grads.wants(i)) grads.put(i, dy.slice(at, channels[i]));
                           },
                           forward, {parts.begin(), parts.end()});
}

}  // namespace lgms::autograd
