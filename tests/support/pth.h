#pragma once
// A PyTorch checkpoint as torch.save writes one: a state dict of contiguous tensors.
#include <string>
#include <vector>

#include "core/named_tensor.h"
#include "tests/support/zip.h"

namespace lgms::testing {

// f32 and i64 tensors, as a zip archive.
inline std::vector<uint8_t> pth_of(const NamedTensors& tensors) {
  const auto raw = [](auto value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto word = [&](const std::string& s) { return 'X' + raw(static_cast<uint32_t>(s.size())) + s; };
  const auto number = [&](int64_t n) { return 'J' + raw(static_cast<int32_t>(n)); };
  std::vector<ZipEntry> entries(1);
  std::string pickle = "\x80\x02}(";
  for (const NamedTensor& t : tensors) {
    const Tensor dense = t.tensor.dense();
    const std::string key = std::to_string(entries.size() - 1);
    const bool whole = dense.dtype() == DType::i64;
    std::string shape, strides;
    for (int axis = 0; axis < dense.shape().rank(); ++axis) {
      int64_t stride = 1;
      for (int inner = axis + 1; inner < dense.shape().rank(); ++inner) stride *= dense.shape()[inner];
      shape += number(dense.shape()[axis]);
      strides += number(stride);
    }
    pickle += word(t.name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + word("storage") + "ctorch\n" +
              (whole ? "Long" : "Float") + "Storage\n" + word(key) + word("cpu") + number(dense.numel()) + "tQ" +
              number(0) + '(' + shape + "t(" + strides + "t\x89}tR";
    const char* const bytes = whole ? reinterpret_cast<const char*>(dense.data<int64_t>())
                                    : reinterpret_cast<const char*>(dense.data<float>());
    entries.push_back({"x/data/" + key, std::string(bytes, static_cast<size_t>(dense.numel()) * (whole ? 8 : 4))});
  }
  entries[0] = {"x/data.pkl", pickle + "u."};
  return zip_of(entries);
}

}  // namespace lgms::testing
