#pragma once
#include <cstdint>

namespace lgms {

// What the kernel says of this process's memory, bytes; zeros where there is no /proc.
struct ProcessMemory {
  int64_t peak = 0;       // VmHWM: the most that was ever resident
  int64_t anonymous = 0;  // resident now, of heap, stacks and tensors
  int64_t mapped = 0;     // program and libraries, all of which may come to be resident
};
ProcessMemory process_memory();

}  // namespace lgms
