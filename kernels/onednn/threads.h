#pragma once
// What every call of oneDNN needs: an engine, a stream, and the number of threads that the current context has. For
// files that are compiled with oneDNN alone.
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>

#include "core/context.h"
#include "core/error.h"
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_TBB
#include <tbb/global_control.h>
#endif

namespace lgms::kernels::onednn {

// The CPU. Throws Error{device} where oneDNN finds none: built upon SYCL it needs OpenCL's runtime for CPUs.
const dnnl::engine& engine();
// This thread's.
dnnl::stream& stream();

// While one is alive, primitives that this thread makes and runs are for, and on, so many threads: oneDNN cuts the work
// when a primitive is made, so both need one. By runtime of the library:
// - thread pool: the current context's own, or its executor;
// - OpenMP: a team of that many, oneDNN's own: it may spin beside the context's threads (OMP_WAIT_POLICY=passive);
// - TBB, and SYCL, which runs on it: at most so many, for the whole process; work is cut for all CPUs;
// - sequential: one, whatever the context has.
class Threads {
 public:
  explicit Threads(int threads = Context::current().threads());
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_TBB
  tbb::global_control most_;
#else
  int before_;
#endif
};

// f() with the context's threads; oneDNN's errors become ours.
template <class F>
auto call(const F& f) {
  try {
    const Threads threads;
    return f();
  } catch (const dnnl::error& e) {
    fail(e.status == dnnl_out_of_memory ? ErrorKind::device : ErrorKind::internal, "[onednn] ", e.what(), ", status ",
         static_cast<int>(e.status));
  }
}

// Runs it and waits.
inline void execute(const dnnl::primitive& primitive, const std::unordered_map<int, dnnl::memory>& arguments) {
  primitive.execute(stream(), arguments);
  stream().wait();
}

}  // namespace lgms::kernels::onednn
