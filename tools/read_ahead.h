#pragma once
// The next volume, read while the one before it is computed.
#include <exception>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "core/context.h"
#include "core/formats/nifti.h"

namespace lgms::tools {

// One file ahead, in a thread of its own and the context of whoever starts it.
class ReadAhead {
 public:
  ReadAhead() = default;
  ~ReadAhead() { wait(); }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Begins to read; what was read before and not taken is let go. Throws Error{device} where the system gives no
  // thread.
  void start(const std::filesystem::path& path) {
    wait();
    volume_.reset();
    error_ = nullptr;
    path_ = path;
    thread_ = start_thread([this, context = &Context::current()] {
      const Context::Scope scope(*context);
      try {
        volume_ = io::read_nifti(path_);
      } catch (...) { error_ = std::current_exception(); }
    });
  }
  // The volume that was begun, or else one that is read now. Throws as io::read_nifti.
  io::Volume take(const std::filesystem::path& path) {
    wait();
    if (path != path_) return io::read_nifti(path);
    path_.clear();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    io::Volume volume = std::move(*volume_);
    volume_.reset();
    return volume;
  }

 private:
  void wait() {
    if (thread_.joinable()) thread_.join();
  }

  std::filesystem::path path_;
  std::optional<io::Volume> volume_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace lgms::tools
