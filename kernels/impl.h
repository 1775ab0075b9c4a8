#pragma once
// How an op lists its implementations and picks one.
#include <algorithm>
#include <span>

#include "core/context.h"
#include "core/error.h"
#include "core/tensor.h"

namespace lgms::kernels {

// One implementation of one pass of an op. Lists are constexpr, fastest first, reference last; dispatch, tests and
// bench read the same list. Ops whose choice depends on the shape use a richer struct with at least name and isa.
template <class Run>
struct Impl {
  const char* name;
  Isa isa;
  Run* run;
};

// The first row that this context may use and that `accepts`; the reference row accepts everything.
template <class Row, class Accepts>
const Row& pick(std::span<const Row> rows, const Accepts& accepts) {
  const Isa isa = Context::current().isa();
  for (const Row& row : rows)
    if (row.isa <= isa && accepts(row)) return row;
  fail(ErrorKind::internal, "[kernels] no implementation for ", name_of(isa));
}
template <class Row>
const Row& pick(std::span<const Row> rows) {
  return pick(rows, [](const Row&) { return true; });
}

// The checks at the tensor entry of an op: "[op] argument: expected ..., got ...".
inline void expect_shape(const char* op, const char* argument, const TensorView& t, const Shape& want) {
  check(t.defined() && t.shape() == want, ErrorKind::usage, "[", op, "] ", argument, ": expected ", want, ", got ",
        t.shape());
}
inline void expect_type(const char* op, const char* argument, const TensorView& t, DType want) {
  check(t.dtype() == want, ErrorKind::usage, "[", op, "] ", argument, ": expected ", want, ", got ", t.dtype());
}
// f32 or f64 activations [N, D, H, W, C].
inline void expect_activations(const char* op, const char* argument, const TensorView& t) {
  check(t.defined() && t.shape().rank() == 5, ErrorKind::usage, "[", op, "] ", argument,
        ": expected [N, D, H, W, C], got ", t.shape());
  check(t.dtype() == DType::f32 || t.dtype() == DType::f64, ErrorKind::usage, "[", op, "] ", argument,
        ": expected f32 or f64, got ", t.dtype());
}

}  // namespace lgms::kernels
