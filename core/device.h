#pragma once
#include <cstdint>
#include <ostream>

namespace lgms {

// Where a tensor's memory is. Memory of any device but cpu must not be read by the host, only copied from and to it.
// emulated: a device whose rows are the host's (tests/support/emulated_device.h), which proves that nobody does.
enum class Device : uint8_t { cpu, cuda, emulated };

constexpr const char* name_of(Device d) { return d == Device::cpu ? "cpu" : d == Device::cuda ? "cuda" : "emulated"; }
inline std::ostream& operator<<(std::ostream& out, Device d) { return out << name_of(d); }

}  // namespace lgms
