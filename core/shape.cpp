#include "core/shape.h"

#include "core/error.h"

namespace lgms {

Shape::Shape(std::span<const int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  check(extents.size() <= kMaxRank, ErrorKind::usage, "[shape] rank: expected at most ", kMaxRank, ", got ",
        extents.size());
  int64_t product = 1;
  for (size_t i = 0; i < extents.size(); ++i) {
    check(extents[i] >= 0, ErrorKind::usage, "[shape] extent ", i, ": expected 0 or more, got ", extents[i]);
    check(extents[i] == 0 || product <= (int64_t{1} << 48) / extents[i], ErrorKind::usage,
          "[shape] extents: expected at most 2^48 elements");
    product *= extents[i];
    extents_[i] = extents[i];
  }
}

int64_t Shape::numel() const {
  int64_t product = 1;
  for (int64_t extent : extents()) product *= extent;
  return product;
}

int64_t Shape::rows() const {
  int64_t product = 1;
  for (int axis = 0; axis + 1 < rank_; ++axis) product *= (*this)[axis];
  return product;
}

Shape Shape::with_channels(int64_t c) const {
  Shape shape = *this;
  check(rank_ > 0, ErrorKind::usage, "[shape] with_channels: expected a rank above 0");
  shape.extents_[static_cast<size_t>(rank_ - 1)] = c;
  return Shape(shape.extents());  // which checks it
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
  return out << ']';
}

}  // namespace lgms
