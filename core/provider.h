#pragma once
// Whose implementations compute.
#include <string_view>

namespace lgms {

// own: ours, everything. onednn: oneDNN's convolutions, of any kind and in both directions, f32; ours for all else.
enum class Provider { own, onednn };

constexpr const char* name_of(Provider provider) { return provider == Provider::onednn ? "onednn" : "own"; }
bool supported(Provider provider) noexcept;  // by this build
// "onednn" -> Provider::onednn. Throws Error{usage} on an unknown name.
Provider provider_from_name(std::string_view name);

}  // namespace lgms
