#pragma once
// The program as its users meet it: arguments in; exit code, stdout and stderr out.
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace lgms::testing {

struct Outcome {
  int code = 0;  // of the process; 128 + n where signal n ended it
  std::string out, err;
};

// Runs `program` (LGMS_PROGRAM; or /bin/sh) with arguments, LGMS_ISA and the rest of the environment as they are.
// meanwhile, if given, is called with the process id once it runs, to wait and send signals. "internal error" on stderr
// fails the test: whatever a test provokes has a message of its own.
Outcome run_program(const std::string& program, const std::vector<std::string>& arguments,
                    const std::function<void(pid_t)>& meanwhile = {});

}  // namespace lgms::testing
