#pragma once
// The verbs of the program, one file each. Each adds its options and what it does.
#include "tools/command_line.h"

namespace lgms::tools {

void add_train(CommandLine& program);
void add_eval(CommandLine& program);
void add_predict(CommandLine& program);
void add_bench(CommandLine& program);
void add_summary(CommandLine& program);
void add_info(CommandLine& program);
void add_convert(CommandLine& program);
void add_verify(CommandLine& program);
void add_gradcheck(CommandLine& program);
void add_devices(CommandLine& program);

}  // namespace lgms::tools
