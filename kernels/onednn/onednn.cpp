#include "kernels/onednn/onednn.h"

#if LGMS_HAVE_ONEDNN
#include "core/error.h"
#include "kernels/onednn/threads.h"
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_THREADPOOL
#include <oneapi/dnnl/dnnl_threadpool.hpp>
#elif DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
#include <dlfcn.h>
#endif
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_SYCL
#include <cstdlib>
#endif
static_assert(DNNL_VERSION_MAJOR >= 3);

namespace lgms::kernels {
namespace onednn {
namespace {

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_THREADPOOL
// The current context's threads as oneDNN sees them.
class Pool final : public dnnl::threadpool_interop::threadpool_iface {
 public:
  int get_num_threads() const override { return Context::current().threads(); }
  bool get_in_parallel() const override { return inside_; }
  void parallel_for(int n, const std::function<void(int, int)>& f) override {
    Context::current().parallel(n, [&](int64_t piece, int) {
      const bool before = std::exchange(inside_, true);
      f(static_cast<int>(piece), n);
      inside_ = before;
    });
  }
  uint64_t get_flags() const override { return 0; }  // parallel_for returns when all is done
#if DNNL_VERSION_MAJOR > 3 || DNNL_VERSION_MINOR >= 11
  void wait() override {}
#endif

 private:
  static thread_local bool inside_;
};
thread_local bool Pool::inside_ = false;

int threads_of_runtime() {
  int threads = 0;
  dnnl_threadpool_interop_get_max_concurrency(&threads);
  return threads;
}
void set_threads_of_runtime(int threads) { dnnl_threadpool_interop_set_max_concurrency(threads); }
#elif DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
// A function of whichever OpenMP runtime oneDNN has brought in: linked by name, it might be that of another one.
template <class Function>
Function* openmp(const char* name) {
  void* const found = dlsym(RTLD_DEFAULT, name);
  check(found != nullptr, ErrorKind::device, "[onednn] ", name, ": not in this process; is oneDNN's OpenMP loaded?");
  return reinterpret_cast<Function*>(found);
}
int threads_of_runtime() {
  static int (*const get)() = openmp<int()>("omp_get_max_threads");
  return get();
}
void set_threads_of_runtime(int threads) {
  static void (*const set)(int) = openmp<void(int)>("omp_set_num_threads");
  set(threads);
}
#elif DNNL_CPU_THREADING_RUNTIME != DNNL_RUNTIME_TBB
int threads_of_runtime() { return 1; }
void set_threads_of_runtime(int) {}
#endif

dnnl::engine make_engine() {
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_SYCL && defined(LGMS_ONEDNN_OPENCL)
  setenv("OCL_ICD_FILENAMES", LGMS_ONEDNN_OPENCL, 0);  // a wheel does not register its OpenCL with the system
#endif
  check(dnnl::engine::get_count(dnnl::engine::kind::cpu) > 0, ErrorKind::device,
        "[onednn] it finds no CPU; built upon SYCL, it needs OpenCL's runtime for CPUs (intel-opencl-rt)");
  return {dnnl::engine::kind::cpu, 0};
}

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine cpu = make_engine();
  return cpu;
}

dnnl::stream& stream() {
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_THREADPOOL
  thread_local Pool pool;
  thread_local dnnl::stream of_thread = dnnl::threadpool_interop::make_stream(engine(), &pool);
#else
  thread_local dnnl::stream of_thread(engine());
#endif
  return of_thread;
}

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_TBB
Threads::Threads(int threads) : most_(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(threads)) {}
Threads::~Threads() = default;
#else
Threads::Threads(int threads) : before_(threads_of_runtime()) { set_threads_of_runtime(threads); }
Threads::~Threads() { set_threads_of_runtime(before_); }
#endif

}  // namespace onednn

std::string onednn_description() {
  const dnnl_version_t& v = *dnnl_version();
  constexpr unsigned runtime = DNNL_CPU_THREADING_RUNTIME;
  const char* const threads = runtime == DNNL_RUNTIME_THREADPOOL ? "ours"
                              : runtime == DNNL_RUNTIME_OMP      ? "OpenMP's"
                              : runtime == DNNL_RUNTIME_TBB      ? "TBB's"
                                                                 : "none";
  return text(v.major, '.', v.minor, '.', v.patch, ", threads: ", threads,
              DNNL_CPU_RUNTIME == DNNL_RUNTIME_SYCL ? ", through SYCL" : "");
}

}  // namespace lgms::kernels
#else

namespace lgms::kernels {

std::string onednn_description() { return "not in this build; tools/onednn.sh gets it"; }

}  // namespace lgms::kernels
#endif
