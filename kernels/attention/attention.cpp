#include "kernels/attention/attention.h"

#include "kernels/attention/packed.h"
#include "kernels/attention/reference.h"

namespace lgms::kernels {
namespace {

template <AttentionHeadForward* run>
void forward_packed(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, float* y, float* statistics,
                    float* scratch) {
  attention_forward_packed(d, first, last, qkv, y, statistics, scratch, run);
}
template <AttentionHeadBackward* run>
void backward_packed(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, const float* y,
                     const float* statistics, const float* dy, float* dqkv, float* scratch) {
  attention_backward_packed(d, first, last, qkv, y, statistics, dy, dqkv, scratch, run);
}

constexpr Impl<AttentionForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, forward_packed<attention_head_forward_avx512>},
    {"avx2", Device::cpu, Isa::avx2, forward_packed<attention_head_forward_avx2>},
#endif
    {"generic", Device::cpu, Isa::generic, forward_packed<attention_head_forward_generic>},
    {"reference", Device::cpu, Isa::reference, attention_forward_reference<float>}};
constexpr Impl<AttentionBackward> backward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, backward_packed<attention_head_backward_avx512>},
    {"avx2", Device::cpu, Isa::avx2, backward_packed<attention_head_backward_avx2>},
#endif
    {"generic", Device::cpu, Isa::generic, backward_packed<attention_head_backward_generic>},
    {"reference", Device::cpu, Isa::reference, attention_backward_reference<float>}};

void expect(const char* argument, const TensorView& t, const TensorView& qkv, int64_t channels) {
  expect_shape("attention", argument, t, qkv.shape().with_channels(channels));
  expect_like("attention", argument, t, qkv);
}

AttentionDims dims_of(const TensorView& qkv, int64_t heads, int rank, const TensorView& y,
                      const TensorView& statistics) {
  expect_activations("attention", "qkv", qkv);
  check(rank == 2 || rank == 3, ErrorKind::usage, "[attention] rank: expected 2 or 3, got ", rank);
  check(heads > 0, ErrorKind::usage, "[attention] heads: expected at least 1, got ", heads);
  const Shape& s = qkv.shape();
  check(s[2] % 2 == 0 && s[3] % 2 == 0 && (rank == 2 || s[1] % 2 == 0), ErrorKind::usage,
        "[attention] qkv: expected even ", rank == 2 ? "H and W" : "D, H and W", ", got ", s);
  expect("qkv", qkv, qkv, 3 * heads * kHeadDim);
  expect("y", y, qkv, heads * kHeadDim);
  expect("statistics", statistics, qkv, 2 * heads);
  expect_dense("attention", "statistics", statistics);
  return {s[0], s[1], s[2], s[3], heads, rank - 1, qkv.row_stride(), y.row_stride(), 0, 0};
}

template <class T>
int64_t scratch_bytes(const AttentionDims& d, const Context& context) {
  return context.threads() * attention_scratch(d) * static_cast<int64_t>(sizeof(T));
}
// A range packs the keys of its heads, which costs about half a unit: it holds at least 8 units, and about 10 us.
template <class T, class Run, class... Pointers>
void in_parallel(const AttentionDims& d, Run* run, T* scratch, Pointers... pointers) {
  const int64_t floats = attention_scratch(d);
  parallel_ranges(d.units(), 8 + 1024 / (d.tokens() + 1), [&](int64_t first, int64_t last, int worker) {
    run(d, first, last, pointers..., scratch + worker * floats);
  });
}

}  // namespace

int64_t attention_scratch(const AttentionDims& d) { return attention_packed_scratch(d); }
std::span<const Impl<AttentionForward>> attention_forward_impls() { return forward_impls; }
std::span<const Impl<AttentionBackward>> attention_backward_impls() { return backward_impls; }

PreparedAttention prepare(const AttentionDims& d, const Context& context, Device device) {
  return {&pick(attention_forward_impls(), context, device), d, d.units(), 0, scratch_bytes<float>(d, context)};
}

void run(const PreparedAttention& p, const float* qkv, float* y, float* statistics, float* scratch) {
  in_parallel(p.dims, p.row->run, scratch, qkv, y, statistics);
}

void attention_forward(const TensorView& qkv, int64_t heads, int rank, const TensorView& y,
                       const TensorView& statistics) {
  const AttentionDims d = dims_of(qkv, heads, rank, y, statistics);
  const Context& context = Context::current();
  const HostRows host(qkv.device());
  if (qkv.dtype() == DType::f64) {
    const Scratch scratch(context.memory(), scratch_bytes<double>(d, context));
    in_parallel(d, attention_forward_reference<double>, scratch.as<double>(), qkv.data<double>(), y.data<double>(),
                statistics.data<double>());
  } else {
    const PreparedAttention p = prepare(d, context, qkv.device());
    const Scratch scratch(context.memory(), p.scratch_bytes);
    run(p, qkv.data<float>(), y.data<float>(), statistics.data<float>(), scratch.as<float>());
  }
}

void attention_backward(const TensorView& qkv, const TensorView& y, const TensorView& statistics, const TensorView& dy,
                        int64_t heads, int rank, const TensorView& dqkv) {
  AttentionDims d = dims_of(qkv, heads, rank, y, statistics);
  expect("dy", dy, qkv, heads * kHeadDim);
  expect("dqkv", dqkv, qkv, 3 * heads * kHeadDim);
  d.lddy = dy.row_stride();
  d.lddqkv = dqkv.row_stride();
  const Context& context = Context::current();
  const HostRows host(qkv.device());
  const auto run_as = [&]<class T>(auto* run) {
    const Scratch scratch(context.memory(), scratch_bytes<T>(d, context));
    in_parallel(d, run, scratch.template as<T>(), qkv.data<T>(), y.data<T>(), statistics.data<T>(), dy.data<T>(),
                dqkv.data<T>());
  };
  if (qkv.dtype() == DType::f64)
    run_as.operator()<double>(attention_backward_reference<double>);
  else
    run_as.operator()<float>(pick(attention_backward_impls(), context, qkv.device()).run);
}

}  // namespace lgms::kernels
