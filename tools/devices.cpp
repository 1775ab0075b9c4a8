#include <cstdio>
#include <iostream>
#include <memory>

#include "core/io/json.h"
#include "core/isa.h"
#include "core/precision.h"
#include "core/provider.h"
#include "core/thread_pool.h"
#include "kernels/onednn/onednn.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {

void add_devices(CommandLine& program) {
  auto json = std::make_shared<bool>(false);
  auto machine = std::make_shared<Machine>();
  const Verb verb = program.add_verb("devices", "What this machine and this build can compute on");
  verb.add_flag("--json", *json, "print JSON");
  add_threads(verb, *machine);
  verb.action([json, machine] {
    if (*json) {
      std::cout << io::Json::object(
                       {{"cpu", cpu_name()},
                        {"cpus", available_cpus()},
                        {"isa", name_of(best_isa())},
                        {"bf16",
                         supported(Precision::bf16_pairs) ? io::Json(name_of(precision_from_name("bf16"))) : false},
                        {"cuda", false},
                        {"onednn", supported(Provider::onednn) ? io::Json(kernels::onednn_description()) : false}})
                       .dump(1)
                << '\n';
      return;
    }
    std::printf("cpu     %s\n        %d available to this process; instruction sets:", cpu_name().c_str(),
                available_cpus());
    for (Isa isa : {Isa::generic, Isa::avx2, Isa::avx512})
      if (supported(isa)) std::printf(" %s", name_of(isa));
    std::printf("\nbf16    ");
    if (supported(Precision::bf16_pairs))
      std::printf("%s", name_of(precision_from_name("bf16")));
    else
      std::printf("not on this CPU: it needs %s", need_of(Precision::bf16_pairs).c_str());
    std::printf("\ncuda    not in this build\nonednn  %s\n", kernels::onednn_description().c_str());
  });
}

}  // namespace lgms::tools
