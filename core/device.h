#pragma once
#include <cstdint>
#include <ostream>

namespace lgms {

// Where a tensor's memory is. Memory of any device but cpu must not be read by the host.
enum class Device : uint8_t { cpu, cuda };

constexpr const char* name_of(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
inline std::ostream& operator<<(std::ostream& out, Device d) { return out << name_of(d); }

}  // namespace lgms
