#include "core/process_memory.h"

#include <cinttypes>
#include <cstdio>
#include <memory>

namespace lgms {
namespace {

// f(line) for every line of a file of /proc.
template <class F>
void for_each_line(const char* path, const F& f) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "re"), std::fclose);
  char line[512];
  while (file && std::fgets(line, sizeof line, file.get())) f(line);
}

}  // namespace

ProcessMemory process_memory() {
  ProcessMemory memory;
  for_each_line("/proc/self/status", [&](const char* line) {
    int64_t kilobytes = 0;
    if (std::sscanf(line, "VmHWM: %" SCNd64, &kilobytes) == 1) memory.peak = kilobytes << 10;
    if (std::sscanf(line, "RssAnon: %" SCNd64, &kilobytes) == 1) memory.anonymous = kilobytes << 10;
  });
  for_each_line("/proc/self/maps", [&](const char* line) {
    uint64_t begin = 0, end = 0, file = 0;
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64, &begin, &end, &file) == 3 && file != 0)
      memory.mapped += static_cast<int64_t>(end - begin);
  });
  return memory;
}

}  // namespace lgms
