#pragma once
// Reads the weights out of PyTorch checkpoints (torch.save since version 1.6: a zip archive with a pickle and the
// elements). Tensors are built from an allow-list, nothing in the file is executed.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/named_tensor.h"

namespace lgms::io {

// The tensors of a state dict, in its order and under its names, dense, as f32, f64, i64 or u8. The state dict is the
// whole checkpoint, or stands under "state_dict", "model_state_dict", "model_state", "model", "net", "network",
// "weights", "params" or "module", in any nesting; what else stands beside it is passed over. Throws Error{model} on
// any other contents and types, on two state dicts, on what is cut short or damaged, and on a pickle that wants to call
// a function, naming it. The form for memory calls the file `name` in its errors.
std::vector<NamedTensor> read_pth(const std::filesystem::path& path);
std::vector<NamedTensor> read_pth(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace lgms::io
