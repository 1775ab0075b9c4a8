#pragma once
// The verbs of the program, one file each. Each adds its subcommand, whose callback does the work and throws
// lgms::Error.
#include <CLI/CLI.hpp>

namespace lgms::tools {

void add_train(CLI::App& program);
void add_eval(CLI::App& program);
void add_predict(CLI::App& program);
void add_bench(CLI::App& program);
void add_summary(CLI::App& program);
void add_info(CLI::App& program);
void add_convert(CLI::App& program);
void add_verify(CLI::App& program);
void add_gradcheck(CLI::App& program);
void add_devices(CLI::App& program);

}  // namespace lgms::tools
