#pragma once
// What every test uses: sizes, numbers, strided tensors, contexts.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/tensor.h"

namespace lgms::testing {

// Sizes around vector widths, up to most: 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, ...
std::vector<int64_t> simd_edge_sizes(int64_t most);

// n integers in -4..4, the same for the same seed: sums of their products are exact in float.
std::vector<float> small_integers(int64_t n, uint64_t seed);
// n standard normals.
std::vector<float> normals(int64_t n, uint64_t seed);

// A tensor of standard normals (small integers for i64, u8). pad > 0: row stride C + pad, the padding holds 1e30.
Tensor randn(const Shape& shape, uint64_t seed, DType dtype = DType::f64, int64_t pad = 0);
Tensor integers(const Shape& shape, uint64_t seed, DType dtype = DType::f32, int64_t pad = 0);
// Undefined contents with a row stride of C + pad; padding_intact: nothing wrote between the rows.
Tensor padded(const Shape& shape, DType dtype, int64_t pad);
bool padding_intact(const Tensor& t, int64_t pad);

// The largest |a - b| over all elements of two tensors of one shape (any types and strides); NaN counts as infinite.
double max_difference(const TensorView& a, const TensorView& b);
double max_magnitude(const TensorView& a);

// A file or folder of the data that is too large for the repository, in the folder that the environment's LGMS_SHARED
// names; an absent one where it names none.
std::filesystem::path shared(const std::string& name);

// The text of the Error that f throws, or "" if it throws none.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) { return e.message(); }
  return "";
}

// Every ISA of this CPU, reference first.
std::vector<Isa> isas();

// Whether a context that is capped to each of them in turn runs every row of ours in a list.
template <class Impls>
bool one_row_per_isa(const Impls& impls) {
  std::set<std::pair<Isa, Provider>> seen;
  for (const auto& impl : impls) {
    if constexpr (requires { impl.provider; })
      seen.emplace(impl.isa, impl.provider);
    else
      seen.emplace(impl.isa, Provider::own);
  }
  return seen.size() == impls.size();
}

// Options of a context with this many threads; of one that is capped to an ISA.
inline ContextOptions with_threads(int threads) {
  ContextOptions options;
  options.threads = threads;
  return options;
}
inline ContextOptions with_isa(Isa isa) {
  ContextOptions options;
  options.isa = isa;
  return options;
}

}  // namespace lgms::testing
