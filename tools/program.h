#pragma once
namespace lgms::tools {

// The program: picks the verb, turns errors into messages on stderr, and returns the exit code (README, "Use").
int run_program(int argc, const char* const* argv) noexcept;

// Says that memory ran out, without taking any; returns the exit code.
int no_memory() noexcept;

}  // namespace lgms::tools
