#include "lgmsnet/training/verify.h"

#include <cstdio>
#include <iostream>
#include <memory>

#include "core/error.h"
#include "core/io/json.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

struct Options {
  std::string file, dtype = "f64";
  bool plan = false, json = false;
  Machine machine;
};

void print_table(const VerifyReport& report) {
  std::printf("%-58s %12s %12s  %-7s %s\n", "tensor", "error", "bound", "verdict", "at");
  for (const VerifyRow& row : report.rows)
    if (row.absent)
      std::printf("%-58s %12s %12s  %-7s\n", row.name.c_str(), "-", "-", "absent");
    else
      std::printf("%-58s %12.3e %12.3e  %-7s %s\n", row.name.c_str(), row.error, row.bound,
                  row.passed ? "ok" : "FAILED", row.where.c_str());
}

void print_json(const VerifyReport& report, const Options& o) {
  io::Json rows = io::Json::array();
  for (const VerifyRow& row : report.rows) {
    io::Json r = io::Json::object({{"name", row.name}, {"absent", row.absent}});
    if (!row.absent) {
      r["error"] = row.error;
      r["bound"] = row.bound;
      r["at"] = row.where;
      r["passed"] = row.passed;
    }
    rows.push_back(r);
  }
  const io::Json all = io::Json::object({{"file", o.file},
                                         {"dtype", o.dtype},
                                         {"config", io::parse_json(report.config).value},
                                         {"passed", report.passed()},
                                         {"tensors", rows}});
  std::cout << all.dump(1) << '\n';
}

void run(const Options& o) {
  Session session(o.machine);
  const VerifyReport report = o.plan ? verify_plan(o.file) : verify(o.file, o.dtype == "f64" ? DType::f64 : DType::f32);
  int64_t compared = 0, failed = 0;
  for (const VerifyRow& row : report.rows) {
    compared += !row.absent;
    failed += !row.absent && !row.passed;
  }
  if (o.json)
    print_json(report, o);
  else
    print_table(report);
  if (!o.json)
    std::printf("%ld tensors compared in %s on %s: %s\n", static_cast<long>(compared), o.dtype.c_str(),
                session.context().arithmetic().c_str(),
                failed == 0 ? "all within bounds" : text(failed, " FAILED").c_str());
  std::fflush(stdout);
  check(failed == 0, ErrorKind::check_failed, "[", o.file, "] ", failed, " of ", compared,
        " tensors differ from the golden file by more than their bound");
}

}  // namespace

void add_verify(CommandLine& program) {
  auto o = std::make_shared<Options>();
  const Verb verb = program.add_verb("verify", "Compare the engine with a golden file made by PyTorch in double");
  verb.add("file", o->file, "golden file, .safetensors (tests/oracle/make_golden.py writes them)").required();
  verb.add("--dtype", o->dtype, "f64: the reference templates; f32: the kernels that training and inference use")
      .shows_default()
      .one_of({"f64", "f32"});
  verb.add_flag("--plan", o->plan, "only the logits of what inference runs: fused steps, in f32");
  verb.add_flag("--json", o->json, "print JSON");
  add_machine(verb, o->machine);
  verb.action([o, verb] {
    if (o->plan) {
      verb.refuse({"--dtype"}, "is f32 with --plan; leave it out");
      o->dtype = "f32";
    }
    run(*o);
  });
}

}  // namespace lgms::tools
