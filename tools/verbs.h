#pragma once
// The verbs of the program, one file each. Each adds its subcommand, whose callback does the work and throws
// lgms::Error.
#include <CLI/CLI.hpp>

namespace lgms::tools {

void add_train(CLI::App& program);
void add_eval(CLI::App& program);
void add_predict(CLI::App& program);
void add_bench(CLI::App& program);

}  // namespace lgms::tools
