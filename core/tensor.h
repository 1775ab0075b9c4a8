#pragma once
// Tensors: channels-last, dense but for one row stride.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "core/shape.h"

namespace lgms {

// Memory seen as a tensor, owned by somebody else. shape [..., C]; the C channels of a row (pixel) lie side by side,
// rows lie row_stride >= C elements apart: a slice of channels is a view of its parent. Copying a view copies no data;
// like a span, a const view gives access to mutable elements.
class TensorView {
 public:
  TensorView() = default;
  // row_stride 0: dense. Throws Error{usage} where row_stride < C.
  TensorView(void* data, DType dtype, const Shape& shape, int64_t row_stride = 0, Device device = Device::cpu);

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  int64_t numel() const { return shape_.numel(); }
  int64_t rows() const { return shape_.rows(); }          // product of all extents but the last
  int64_t channels() const { return shape_.channels(); }  // the last extent
  int64_t row_stride() const { return row_stride_; }      // elements
  bool is_dense() const { return row_stride_ == channels() || rows() <= 1; }

  // The first element, on whatever device it is. Throws Error{internal} where T is not the element type.
  template <class T>
  T* data() const {
    require(dtype_of<T>, false);
    return static_cast<T*>(data_);
  }
  void* memory() const { return data_; }  // the first element, of whatever type
  // All elements of a dense tensor that the host can read. Throws Error{internal} otherwise.
  template <class T>
  std::span<T> span() const {
    require(dtype_of<T>, true);
    return {static_cast<T*>(data_), static_cast<size_t>(numel())};
  }

 protected:
  void require(DType wanted, bool dense_on_host) const;

  void* data_ = nullptr;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
  Shape shape_;
  int64_t row_stride_ = 0;
};

class Storage;

// A view that shares the ownership of its memory: copying a Tensor shares, clone() copies.
class Tensor : public TensorView {
 public:
  Tensor() = default;

  // Memory of the current context on its device, contents undefined. Throws Error{device} where there is none left.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
  // The same where it must be: what the host reads and writes element by element is on Device::cpu.
  static Tensor empty(Device device, const Shape& shape, DType dtype = DType::f32);
  static Tensor zeros(Device device, const Shape& shape, DType dtype = DType::f32);
  // On the host.
  template <class T>
  static Tensor from(const Shape& shape, std::span<const T> values);
  template <class T>
  static Tensor from(const Shape& shape, const std::vector<T>& values) {
    return from(shape, std::span<const T>(values));
  }

  // Channels [first, first + count) of the same memory. Throws Error{usage} outside of it.
  Tensor slice(int64_t first, int64_t count) const;
  // Images [first, first + count) along the first axis of the same memory. Throws Error{usage} outside of it.
  Tensor slice_batch(int64_t first, int64_t count) const;
  // The same memory with another shape. Throws Error{usage} where the number of elements or, for a tensor that is not
  // dense, of channels differs.
  Tensor reshaped(const Shape& shape) const;

  Tensor clone() const;            // dense, on the same device
  Tensor dense() const;            // *this if it is dense, else a clone
  Tensor to(Device device) const;  // *this if it is there, else a dense copy
  Tensor to(DType dtype) const;    // of a host's tensor: *this if it has that type, else a dense, converted copy
  void fill(double value) const;
  void copy_from(const TensorView& source) const;  // same shape and type; strides and devices may differ

  // Counts writes in place (optimisers, running statistics); backward checks that what it saved was not overwritten.
  uint64_t version() const;
  void bump_version() const;
  // Whether nobody else shares the storage.
  bool unique() const { return storage_.use_count() == 1; }
  bool shares_storage_with(const Tensor& other) const { return storage_ == other.storage_; }
  const void* storage_id() const { return storage_.get(); }
  int64_t storage_bytes() const;

 private:
  std::shared_ptr<Storage> storage_;
};

// Copies between dense or strided tensors of one shape and type, of the host or the context's device.
void copy(const TensorView& source, const TensorView& destination);

}  // namespace lgms
