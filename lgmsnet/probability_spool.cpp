#include "lgmsnet/probability_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace lgms {
namespace {

[[noreturn]] void fail_with(const std::filesystem::path& folder, const char* action) {
  fail(ErrorKind::output, "[", folder.string(), "] a temporary file cannot be ", action, ": ", std::strerror(errno));
}

// whole(bytes, count) reads or writes some of them and returns how many.
template <class Step>
void all_of(const std::filesystem::path& folder, const char* action, char* bytes, size_t count, const Step& step) {
  while (count > 0) {
    const ssize_t n = step(bytes, count);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) fail_with(folder, action);
    bytes += n;
    count -= static_cast<size_t>(n);
  }
}

// A file without a name; where the file system has none such, one whose name is taken away at once.
int nameless_file(const std::filesystem::path& folder) {
  int descriptor = -1;
#ifdef O_TMPFILE
  descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0) return descriptor;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) fail_with(folder, "created");
#endif
  std::string name = (folder / ".lgms-probabilities-XXXXXX").string();
  descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) fail_with(folder, "created");
  ::unlink(name.c_str());
  return descriptor;
}

}  // namespace

ProbabilitySpool::ProbabilitySpool(const std::filesystem::path& folder, int64_t classes) : folder_(folder) {
  files_.reserve(static_cast<size_t>(classes));
  for (int64_t k = 0; k < classes; ++k) files_.emplace_back(nameless_file(folder));
}

ProbabilitySpool::Descriptor::~Descriptor() {
  if (number >= 0) ::close(number);
}

void ProbabilitySpool::add(const Size3& at, const TensorView& p) {
  const Shape& s = p.shape();
  slabs_.push_back({at, {s[0], s[1], s[2]}});
  std::vector<float> line(static_cast<size_t>(s[1] * s[2]));  // a slice of one class
  const auto classes = static_cast<int64_t>(files_.size());
  for (int64_t k = 0; k < classes; ++k)
    for (int64_t slice = 0; slice < s[0]; ++slice) {
      const float* from = p.data<float>() + slice * s[1] * s[2] * classes + k;
      for (float& v : line) {
        v = *from;
        from += classes;
      }
      const int descriptor = files_[static_cast<size_t>(k)].number;
      all_of(folder_, "written", reinterpret_cast<char*>(line.data()), line.size() * sizeof(float),
             [&](char* bytes, size_t count) { return ::write(descriptor, bytes, count); });
    }
}

Tensor ProbabilitySpool::volume(const VolumeGrid& grid, const std::array<int, 3>& axes, int64_t label) const {
  const NativeFrame frame = native_frame(grid, axes);
  const Tensor volume = Tensor::empty(Device::cpu, {grid.native[0], grid.native[1], grid.native[2], 1});
  volume.fill(label == 0 ? 1 : 0);
  const int descriptor = files_[static_cast<size_t>(label)].number;
  if (::lseek(descriptor, 0, SEEK_SET) < 0) fail_with(folder_, "read");
  std::vector<float> line;
  for (const Slab& slab : slabs_) {
    line.resize(static_cast<size_t>(slab.size[1] * slab.size[2]));
    for (int64_t slice = 0; slice < slab.size[0]; ++slice) {
      all_of(folder_, "read", reinterpret_cast<char*>(line.data()), line.size() * sizeof(float),
             [&](char* bytes, size_t count) { return ::read(descriptor, bytes, count); });
      const float* from = line.data();
      for (int64_t x = 0; x < slab.size[1]; ++x) {
        float* into = volume.data<float>() + frame.first + (slab.at[0] + slice) * frame.stride[0] +
                      (slab.at[1] + x) * frame.stride[1] + slab.at[2] * frame.stride[2];
        for (int64_t y = 0; y < slab.size[2]; ++y) into[y * frame.stride[2]] = *from++;
      }
    }
  }
  return volume;
}

}  // namespace lgms
