#include "core/tensor.h"

#include <algorithm>

#include "core/context.h"
#include "core/error.h"

namespace lgms {

// A block of the allocator that it came from, which it keeps alive.
class Storage {
 public:
  Storage(Device device, int64_t bytes)
      : allocator_(Context::current().memory(device)), bytes_(bytes), data_(allocator_->allocate(bytes)) {}
  ~Storage() { allocator_->release(data_, bytes_); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  uint64_t version = 0;

 private:
  std::shared_ptr<Allocator> allocator_;
  int64_t bytes_;
  void* data_;
};

namespace {

// Calls f with a value of the C++ type that dtype names.
template <class F>
void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::i64: return f(int64_t{});
    case DType::u8: return f(uint8_t{});
  }
}

}  // namespace

TensorView::TensorView(void* data, DType dtype, const Shape& shape, int64_t row_stride, Device device)
    : data_(data),
      dtype_(dtype),
      device_(device),
      shape_(shape),
      row_stride_(row_stride == 0 ? shape.channels() : row_stride) {
  check(row_stride_ >= shape.channels(), ErrorKind::usage, "[tensor] row_stride: expected at least the ",
        shape.channels(), " channels, got ", row_stride_);
}

void TensorView::require(DType wanted, bool dense_on_host) const {
  check(dtype_ == wanted || !defined(), ErrorKind::internal, "[tensor] element type: expected ", wanted, ", got ",
        dtype_);
  if (!dense_on_host) return;
  check(defined() || numel() == 0, ErrorKind::internal, "[tensor] expected a tensor, got none");
  check(device_ == Device::cpu, ErrorKind::internal, "[tensor] device: expected cpu, got ", device_);
  check(is_dense(), ErrorKind::internal, "[tensor] expected a dense tensor, got shape ", shape_, " at row stride ",
        row_stride_);
}

Tensor Tensor::empty(Device device, const Shape& shape, DType dtype) {
  Tensor t;
  t.storage_ = std::make_shared<Storage>(device, shape.numel() * size_of(dtype));
  t.data_ = t.storage_->data();
  t.dtype_ = dtype;
  t.device_ = device;
  t.shape_ = shape;
  t.row_stride_ = shape.channels();
  return t;
}

Tensor Tensor::empty(const Shape& shape, DType dtype) { return empty(Context::current().device(), shape, dtype); }

Tensor Tensor::zeros(Device device, const Shape& shape, DType dtype) {
  Tensor t = empty(device, shape, dtype);
  t.fill(0);
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype) { return zeros(Context::current().device(), shape, dtype); }

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  Tensor t = empty(shape, dtype);
  t.fill(value);
  return t;
}

template <class T>
Tensor Tensor::from(const Shape& shape, std::span<const T> values) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), ErrorKind::usage, "[tensor] values: expected ",
        shape.numel(), " for shape ", shape, ", got ", values.size());
  Tensor t = empty(Device::cpu, shape, dtype_of<T>);
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}
template Tensor Tensor::from(const Shape&, std::span<const float>);
template Tensor Tensor::from(const Shape&, std::span<const double>);
template Tensor Tensor::from(const Shape&, std::span<const int64_t>);
template Tensor Tensor::from(const Shape&, std::span<const uint8_t>);

Tensor Tensor::slice(int64_t first, int64_t count) const {
  check(shape_.rank() > 0 && first >= 0 && count >= 0 && first <= channels() && count <= channels() - first,
        ErrorKind::usage, "[slice] channels: expected a range within ", channels(), ", got ", first, " + ", count);
  Tensor t = *this;
  t.data_ = static_cast<char*>(data_) + first * size_of(dtype_);
  t.shape_ = shape_.with_channels(count);
  return t;
}

Tensor Tensor::slice_batch(int64_t first, int64_t count) const {
  check(shape_.rank() > 1 && first >= 0 && count >= 0 && first <= shape_[0] && count <= shape_[0] - first,
        ErrorKind::usage, "[slice_batch] images: expected a range within ", shape_, ", got ", first, " + ", count);
  std::vector<int64_t> extents(shape_.extents().begin(), shape_.extents().end());
  const int64_t rows_per_image = shape_[0] == 0 ? 0 : rows() / shape_[0];
  extents[0] = count;
  Tensor t = *this;
  t.data_ = static_cast<char*>(data_) + first * rows_per_image * row_stride_ * size_of(dtype_);
  t.shape_ = Shape(extents);
  return t;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  check(shape.numel() == numel() && (is_dense() || shape.channels() == channels()), ErrorKind::usage,
        "[reshaped] shape: expected the elements of ", shape_, is_dense() ? "" : " (strided)", ", got ", shape);
  Tensor t = *this;
  t.shape_ = shape;
  t.row_stride_ = is_dense() ? shape.channels() : row_stride_;
  return t;
}

Tensor Tensor::clone() const {
  check(defined(), ErrorKind::usage, "[clone] expected a tensor, got none");
  Tensor t = empty(device_, shape_, dtype_);
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(Device device) const {
  if (device == device_ || !defined()) return *this;
  Tensor t = empty(device, shape_, dtype_);
  t.copy_from(*this);
  return t;
}

Tensor Tensor::dense() const { return is_dense() ? *this : clone(); }

Tensor Tensor::to(DType dtype) const {
  check(defined(), ErrorKind::usage, "[to] expected a tensor, got none");
  if (dtype == dtype_) return *this;
  const Tensor source = dense();
  Tensor t = empty(Device::cpu, shape_, dtype);
  with_type(dtype_, [&](auto from) {
    with_type(dtype, [&](auto into) {
      const auto values = source.span<decltype(from)>();
      std::transform(values.begin(), values.end(), t.span<decltype(into)>().begin(),
                     [](auto v) { return static_cast<decltype(into)>(v); });
    });
  });
  return t;
}

void Tensor::fill(double value) const {
  if (numel() == 0) return;
  check(defined(), ErrorKind::usage, "[fill] expected a tensor, got none");
  const int64_t size = size_of(dtype_);
  const MemoryRows rows = is_dense() ? MemoryRows{1, numel() * size} : MemoryRows{this->rows(), channels() * size};
  with_type(dtype_, [&](auto zero) {
    const auto element = static_cast<decltype(zero)>(value);
    Context::current().memory(device_)->fill(data_, row_stride_ * size, rows, &element, size);
  });
}

void Tensor::copy_from(const TensorView& source) const { copy(source, *this); }

void copy(const TensorView& source, const TensorView& destination) {
  check(source.shape() == destination.shape() && source.dtype() == destination.dtype(), ErrorKind::usage,
        "[copy] source: expected ", destination.dtype(), " ", destination.shape(), ", got ", source.dtype(), " ",
        source.shape());
  if (source.numel() == 0) return;
  check(source.defined() && destination.defined(), ErrorKind::usage, "[copy] expected two tensors, got none for ",
        source.defined() ? "destination" : "source");
  const int64_t size = size_of(source.dtype()), from_stride = source.row_stride() * size,
                into_stride = destination.row_stride() * size;
  const bool dense = source.is_dense() && destination.is_dense();
  const MemoryRows all =
      dense ? MemoryRows{1, source.numel() * size} : MemoryRows{source.rows(), source.channels() * size};
  const auto* from = static_cast<const char*>(source.memory());
  auto* into = static_cast<char*>(destination.memory());
  const Device device = source.device() == Device::cpu ? destination.device() : source.device();
  const std::shared_ptr<Allocator> memory = Context::current().memory(device);
  if (device != Device::cpu) return memory->copy(from, from_stride, into, into_stride, all);
  parallel_ranges(all.rows, 1 + 65536 / all.bytes, [&](int64_t first, int64_t last, int) {
    memory->copy(from + first * from_stride, from_stride, into + first * into_stride, into_stride,
                 {last - first, all.bytes});
  });
}

uint64_t Tensor::version() const { return storage_ ? storage_->version : 0; }
void Tensor::bump_version() const {
  if (storage_) ++storage_->version;
}
int64_t Tensor::storage_bytes() const { return storage_ ? storage_->bytes() : 0; }

}  // namespace lgms
