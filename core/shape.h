#pragma once
// Extents of a tensor, at most five of them: activations are [N, D, H, W, C], weights [Cout, Cin/groups, k...].
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>

namespace lgms {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;  // rank 0: a scalar
  // Throws Error{usage} on more than kMaxRank extents, a negative one, or a product above 2^48.
  Shape(std::initializer_list<int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const int64_t> extents);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return extents_[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)]; }
  int64_t numel() const;
  int64_t channels() const { return rank_ == 0 ? 1 : (*this)[-1]; }  // the last extent
  int64_t rows() const;                                              // product of all but the last
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }
  // The same shape with another last extent.
  Shape with_channels(int64_t c) const;

  friend bool operator==(const Shape&, const Shape&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape);  // [2, 1, 64, 64, 3]

 private:
  int rank_ = 0;
  std::array<int64_t, kMaxRank> extents_{};
};

}  // namespace lgms
