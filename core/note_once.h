#pragma once
#include <atomic>
#include <memory>

#include "core/context.h"
#include "core/error.h"

namespace lgms {

// A remark that a run makes once, however many files and threads give cause for it. Copies share whether it was made.
class NoteOnce {
 public:
  // Logs "note: " and the arguments, the first time.
  template <class... Args>
  void operator()(const Args&... args) const {
    if (!made_->test_and_set()) Context::current().log(text("note: ", args...));
  }

 private:
  std::shared_ptr<std::atomic_flag> made_ = std::make_shared<std::atomic_flag>();
};

}  // namespace lgms
