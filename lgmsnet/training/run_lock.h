#pragma once
#include <filesystem>

namespace lgms {

// A run's folder belongs to one process at a time: an exclusive lock on a file ".lock" in it, which holds the number of
// the process, for the lifetime of this object. Whoever is killed leaves the file but no lock. A file, since NFS locks
// no folders; where a file system has no locks at all, this does nothing.
class RunLock {
 public:
  RunLock() = default;
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // Locks the folder, which must be there; once is enough. Throws Error{usage} where another process has it,
  // Error{output} where no file can be made in it.
  void take(const std::filesystem::path& folder);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace lgms
