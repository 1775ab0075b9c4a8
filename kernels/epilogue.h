#pragma once
// What an op does to its result in the pass that stores it, so that it goes through memory once.
#include <cstdint>

namespace lgms::kernels {

enum class Activation : uint8_t { none, relu, silu, gelu };

constexpr const char* name_of(Activation kind) {
  return kind == Activation::gelu   ? "gelu"
         : kind == Activation::silu ? "silu"
         : kind == Activation::relu ? "relu"
                                    : "none";
}

// y = after(norm(before(r + bias))) + residual, where r is what the op computes; a part that is not there does nothing.
// An op that is a norm has no `norm` and no bias here (beta is one); of others, norm is one of constant statistics,
// tables [3, C] of mean, scale and shift: norm(u) = scale * (u - mean) + shift. Value: what the caller has for a
// tensor, whose default is an absent one: a builder's value, a Variable, a TensorView, a row's pointers (Strided).
template <class Value>
struct Epilogue {
  Activation before = Activation::none, after = Activation::none;
  Value bias{}, norm{}, residual{};
};

// A tensor as a row sees it: ld elements from one pixel to the next.
template <class T>
struct Strided {
  const T* data = nullptr;
  int64_t ld = 0;
};

// What a convolution takes along, so that its input and its output go through memory once.
template <class T>
struct Fusing {
  // x is read as after(norm(before(x))) + residual, by convolutions of one tap. norm: the tables of an image, then
  // those of the next.
  Epilogue<Strided<T>> prologue = {};
  Epilogue<Strided<T>> epilogue = {};  // norm: one table for all images
  // [N, blocks of an image, 3, C], overwritten: the moments of y (channel_norm.h) in blocks of the row's.
  T* moments = nullptr;
};

// Whether a row's epilogue has more than a bias.
template <class T>
bool finishes(const Epilogue<Strided<T>>& e) {
  return e.before != Activation::none || e.after != Activation::none || e.norm.data || e.residual.data;
}

}  // namespace lgms::kernels
