#pragma once
// What every op is made of: lists of implementations, one of which is picked, and the three movements in which it is
// used.
#include <algorithm>
#include <span>

#include "core/context.h"
#include "core/error.h"
#include "core/tensor.h"

namespace lgms::kernels {

// One implementation of one pass of an op. Lists are constexpr, fastest first, reference last; dispatch, tests and
// bench read the same list. Ops whose choice depends on the shape, or which have several passes in one row, use a
// struct of their own with at least name, device and isa.
template <class Run>
struct Impl {
  const char* name;
  Device device;  // whose memory it takes
  Isa isa;        // of host rows
  Run* run;
  Provider provider = Provider::own;  // of another provider's: see pick
};

// One whose caller has to know its lanes.
template <class Run>
struct LanesImpl {
  const char* name;
  Device device;
  Isa isa;
  int64_t lanes;
  Run* run;
  Precision precision = Precision::f32;  // of the context, or better
};

// The first row for the device that the context may use and that `accepts`; the host's reference accepts everything.
// An emulated device has the rows of the host. Rows of another provider come first, and are for contexts that name it.
// They thread by themselves, on as many threads as the context has, so they are handed all units at once, and scratch
// once; what they do is not part of the promise of the same bits for any number of threads.
template <class Row, class Accepts>
const Row& pick(std::span<const Row> rows, const Context& context, Device device, const Accepts& accepts) {
  const Device wanted = device == Device::emulated ? Device::cpu : device;
  const auto provided = [&](const Row& row) {
    if constexpr (requires { row.provider; })
      return row.provider == Provider::own || row.provider == context.provider();
    return true;
  };
  for (const Row& row : rows)
    if (row.device == wanted && row.isa <= context.isa() && provided(row) && accepts(row)) return row;
  fail(ErrorKind::device, "[kernels] no implementation for ", device, " and ", name_of(context.isa()));
}
template <class Row>
const Row& pick(std::span<const Row> rows, const Context& context, Device device) {
  return pick(rows, context, device, [](const Row&) { return true; });
}

// An op is used in three movements, by its tensor call, by plans and by tests alike:
//   prepare(dims, context, device)      which row; what it will take, of which nothing else keeps account
//   pack(prepared, weights..., packed)  where it has weights: once for any number of runs
//   run(prepared, pointers..., scratch) on all of the output, in the threads of the current context
// Units are a contract of host rows: they are handed ranges of them, and no result depends on where the cuts are.
template <class Row, class Dims>
struct Prepared {
  const Row* row;
  Dims dims;
  int64_t units = 0;          // of work, of host rows
  int64_t packed_bytes = 0;   // of weights as the row reads them
  int64_t scratch_bytes = 0;  // while it runs, for all threads of the context
  int64_t bytes() const { return packed_bytes + scratch_bytes; }
};

// The first element of t, null where t is undefined: an absent bias, say.
template <class T>
T* data_or_null(const TensorView& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// Bytes of `elements` elements, up to a multiple of 64: parts of one block of scratch all begin at such.
template <class T>
int64_t aligned_bytes(int64_t elements) {
  return (elements * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
}

// While one is alive host rows run on tensors of `device`: an emulated one opens its memory for them, and for nobody
// else. The tensor call of every op holds one after its checks.
class HostRows {
 public:
  explicit HostRows(Device device) : memory_(Context::current().memory(device)) { memory_->open(); }
  ~HostRows() { memory_->close(); }
  HostRows(const HostRows&) = delete;
  HostRows& operator=(const HostRows&) = delete;

 private:
  std::shared_ptr<Allocator> memory_;
};

// The checks at the tensor entry of an op: "[op] argument: expected ..., got ...".
inline void expect_shape(const char* op, const char* argument, const TensorView& t, const Shape& want) {
  check(t.defined(), ErrorKind::usage, "[", op, "] ", argument, ": expected ", want, ", got no tensor");
  check(t.shape() == want, ErrorKind::usage, "[", op, "] ", argument, ": expected ", want, ", got ", t.shape());
}
inline void expect_dense(const char* op, const char* argument, const TensorView& t) {
  check(t.is_dense(), ErrorKind::usage, "[", op, "] ", argument, ": expected a dense tensor, got rows of ",
        t.channels(), ' ', t.row_stride(), " apart; Tensor::dense copies it");
}
inline void expect_type(const char* op, const char* argument, const TensorView& t, DType want) {
  check(t.dtype() == want, ErrorKind::usage, "[", op, "] ", argument, ": expected ", want, ", got ", t.dtype());
}
inline void expect_device(const char* op, const char* argument, const TensorView& t, const TensorView& like) {
  check(t.device() == like.device(), ErrorKind::usage, "[", op, "] ", argument, ": expected memory of ", like.device(),
        ", got ", t.device(), "; Tensor::to copies it there");
}
inline void expect_scalar(const char* op, const char* argument, const TensorView& t) {
  check(t.defined() && t.numel() == 1, ErrorKind::usage, "[", op, "] ", argument, ": expected one element, got ",
        t.defined() ? text(t.shape()) : "no tensor");
}
// t is of the type of `like`, and where it is.
inline void expect_like(const char* op, const char* argument, const TensorView& t, const TensorView& like) {
  expect_type(op, argument, t, like.dtype());
  expect_device(op, argument, t, like);
}
inline void expect_float(const char* op, const char* argument, const TensorView& t) {
  check(t.defined(), ErrorKind::usage, "[", op, "] ", argument, ": expected f32 or f64, got no tensor");
  check(t.dtype() == DType::f32 || t.dtype() == DType::f64, ErrorKind::usage, "[", op, "] ", argument,
        ": expected f32 or f64, got ", t.dtype());
}
// f32 or f64 activations [N, D, H, W, C].
inline void expect_activations(const char* op, const char* argument, const TensorView& t) {
  expect_float(op, argument, t);
  check(t.shape().rank() == 5, ErrorKind::usage, "[", op, "] ", argument, ": expected [N, D, H, W, C], got ",
        t.shape());
}

}  // namespace lgms::kernels
