#include "lgmsnet/plan.h"

#include <algorithm>
#include <utility>

#include "core/arena.h"
#include "core/context.h"
#include "core/error.h"

namespace lgms {
namespace {

using kernels::aligned_bytes;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

PreparedStep prepared(const Step& step, const Context& context) {
  return std::visit(
      [&]<class Dims>(const Dims& d) -> PreparedStep {
        if constexpr (std::is_same_v<Dims, std::monostate>)
          return d;
        else if constexpr (std::is_same_v<Dims, kernels::ConvolutionDims> ||
                           std::is_same_v<Dims, kernels::PointwisePairDims>)
          return prepare(d, kernels::Rounding::bf16, context);
        else
          return prepare(d, context);
      },
      step.dims);
}

Steps fused_steps(const Config& config, const Shape& x) {
  const bool own = Context::current().provider() == Provider::own;
  return steps_of(config, x, own ? Fused::yes : Fused::shared);
}

void expect_parameters(const Steps& list, const std::vector<Tensor>& parameters) {
  size_t at = 0;
  for (const Step& step : list.steps)
    for (const ParameterSpec& spec : step.parameters) {
      check(at < parameters.size(), ErrorKind::usage, "[plan] parameters: expected more than ", parameters.size());
      const Tensor& p = parameters[at++];
      check(p.defined() && p.shape() == spec.shape && p.dtype() == spec.dtype && p.device() == Device::cpu &&
                p.is_dense(),
            ErrorKind::usage, "[plan] ", spec.name, ": expected dense ", spec.dtype, ' ', spec.shape, " of cpu, got ",
            p.dtype(), ' ', p.shape(), " of ", p.device());
    }
  check(at == parameters.size(), ErrorKind::usage, "[plan] parameters: expected ", at, ", got ", parameters.size());
}

// Whether weights stay packed from run to run. Winograd's are four times as large as they are in the file: packed anew
// in every run, they take no memory but the arena's. Another provider's stay. In a small context none stay that are
// larger at all.
bool keeps(const kernels::PreparedConvolution<float>& p) {
  if (p.row->provider != Provider::own) return true;
  const kernels::ConvolutionDims& d = p.dims;
  const int64_t most = Context::current().small() ? 1 : 2;
  return p.packed_bytes <= most * aligned_bytes<float>(d.cout * (d.cin / d.groups) * d.taps());
}

// Of one of the tables behind a norm's scratch: mean, variance, 1 / deviation.
int64_t table_bytes(const kernels::PreparedNorm& p) { return aligned_bytes<double>(p.dims.m() * p.dims.c); }

// Bytes of what a step takes while it runs: its op's scratch, then weights that do not stay packed, and the tables or
// statistics that are nobody's output.
int64_t scratch_bytes(const PreparedStep& step) {
  return std::visit(
      Overloaded{
          [](const std::monostate&) { return int64_t{0}; },
          [](const kernels::PreparedConvolution<float>& p) {
            return aligned_bytes<char>(p.scratch_bytes) + (keeps(p) ? 0 : aligned_bytes<char>(p.packed_bytes));
          },
          [](const kernels::PreparedNorm& p) { return aligned_bytes<char>(p.scratch_bytes) + 3 * table_bytes(p); },
          [](const kernels::PreparedAttention& p) {
            const auto& d = p.dims;
            return aligned_bytes<char>(p.scratch_bytes) + aligned_bytes<float>(d.n * d.d * d.h * d.w * 2 * d.heads);
          },
          [](const auto& p) { return aligned_bytes<char>(p.scratch_bytes); }},
      step);
}

// The blocks of an image whose moments a step sums: how many there are, and how many pixels each has.
int64_t blocks_of(const PreparedStep& step) {
  if (const auto* up = std::get_if<kernels::PreparedUpConvolution>(&step))
    return kernels::up_convolution_blocks(up->dims);
  const auto& p = std::get<kernels::PreparedConvolution<float>>(step);
  return p.row->blocks(p.dims);
}
int64_t pixels_of(const PreparedStep& step, int64_t block) {
  if (const auto* up = std::get_if<kernels::PreparedUpConvolution>(&step))
    return kernels::up_convolution_pixels(up->dims, block);
  const auto& p = std::get<kernels::PreparedConvolution<float>>(step);
  return p.row->pixels(p.dims, block);
}
// Bytes of the moments that a step leaves to the next.
int64_t moments_bytes(const Steps& list, const Step& step, const PreparedStep& prepared) {
  const Shape& y = list.shape_of(step.output);
  return step.moments ? aligned_bytes<float>(y[0] * blocks_of(prepared) * 3 * y.channels()) : 0;
}

// Whether the output of step i, a 1x1 convolution with moments, is not stored but made twice: for its moments, and
// block by block for the 1x1 convolution that alone reads it, through a norm. What is wider than what it is made of
// costs more to store than to make: of 96x96x96 voxels with 64 channels, made of 32, 216 MiB are written and read.
bool is_unstored(const Steps& list, const std::vector<PreparedStep>& prepared, size_t i) {
  if (i + 2 >= list.steps.size() || list.steps[i + 1].op != Op::norm_tables) return false;
  const Step &step = list.steps[i], &reader = list.steps[i + 2];
  const auto* const made = std::get_if<kernels::PreparedConvolution<float>>(&prepared[i]);
  const auto* const read = std::get_if<kernels::PreparedConvolution<float>>(&prepared[i + 2]);
  if (!made || !read || reader.inputs[0] != step.output || !reader.prologue.norm || reader.prologue.residual)
    return false;
  const auto block_is_unit = [](const kernels::PreparedConvolution<float>& p) {
    return p.row->provider == Provider::own && p.dims.taps() == 1 && keeps(p) &&
           p.dims.n * p.row->blocks(p.dims) == p.units;
  };
  return step.moments && step.prologue.norm && !step.epilogue.residual && made->dims.cout > made->dims.cin &&
         list.values[static_cast<size_t>(step.output)].storage == step.output && block_is_unit(*made) &&
         block_is_unit(*read) && made->units == read->units;
}

// Floats of a block of a convolution's output, and where the block of a unit begins, in pixels.
int64_t block_size(const kernels::PreparedConvolution<float>& p) {
  return aligned_bytes<float>(p.row->pixels(p.dims, 0) * p.dims.ldy) / int64_t{sizeof(float)};
}
int64_t block_start(const kernels::PreparedConvolution<float>& p, int64_t unit) {
  const int64_t blocks = p.row->blocks(p.dims);
  return unit / blocks * p.dims.d * p.dims.h * p.dims.w + unit % blocks * p.row->pixels(p.dims, 0);
}
// Bytes of what a convolution that makes its blocks, or those that it reads, has besides its own scratch: a block and
// the scratch of what makes it, for each thread.
int64_t blocks_bytes(const kernels::PreparedConvolution<float>& made, int threads) {
  return threads *
         (block_size(made) * int64_t{sizeof(float)} + aligned_bytes<float>(made.row->scratch_size(made.dims)));
}

}  // namespace

Arena arena_of(const Steps& list, const std::vector<PreparedStep>& prepared) {
  Arena arena;
  arena.values.resize(list.values.size());
  arena.scratch.resize(list.steps.size());
  arena.moments.resize(list.steps.size());
  std::vector<int> written(list.values.size(), -1);
  for (size_t i = list.steps.size(); i-- > 0;)
    written[static_cast<size_t>(list.values[static_cast<size_t>(list.steps[i].output)].storage)] = static_cast<int>(i);
  std::vector<int> last(list.values.size());
  for (size_t v = 0; v < last.size(); ++v) last[v] = list.values[v].last_read;
  std::vector<int64_t> scratch(list.steps.size());
  for (size_t i = 0; i < scratch.size(); ++i) {
    scratch[i] += scratch_bytes(prepared[i]);
    if (!is_unstored(list, prepared, i)) continue;
    for (const int v : list.steps[i].inputs) {
      int& until = last[static_cast<size_t>(list.values[static_cast<size_t>(v)].storage)];
      until = std::max(until, static_cast<int>(i) + 2);
    }
    const auto output = static_cast<size_t>(list.steps[i].output);
    last[output] = arena.values[output] = -1;
    for (const size_t step : {i, i + 2})
      scratch[step] +=
          blocks_bytes(std::get<kernels::PreparedConvolution<float>>(prepared[i]), Context::current().threads());
  }
  std::vector<Room> rooms;
  for (size_t v = 0; v < list.values.size(); ++v) {
    const StepValue& value = list.values[v];
    const int index = static_cast<int>(v);
    if (value.storage != index || index == list.input || written[v] < 0 || last[v] < 0) continue;
    rooms.push_back({written[v], last[v], aligned_bytes<float>(value.shape.numel()), &arena.values[v]});
  }
  for (size_t i = 0; i < list.steps.size(); ++i) {
    const int at = static_cast<int>(i);
    rooms.push_back({at, at, scratch[i], &arena.scratch[i]});
    rooms.push_back({at, at + 1, moments_bytes(list, list.steps[i], prepared[i]), &arena.moments[i]});
  }
  for (int i = 0; i < static_cast<int>(list.steps.size()); ++i) {
    int64_t alive = 0;
    for (const Room& room : rooms) alive += room.first <= i && i <= room.last ? room.bytes : 0;
    arena.least = std::max(arena.least, alive);
  }
  arena.bytes = place(rooms);
  return arena;
}

int64_t PackedWeights::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t sum = 0;
  for (const auto& [key, packed] : packed_) sum += packed.storage_bytes();
  return sum;
}

Plan::Plan(const Config& config, std::vector<Tensor> parameters, std::shared_ptr<PackedWeights> packed, const Shape& x)
    : parameters_(std::move(parameters)),
      packed_(std::move(packed)),
      input_(x),
      threads_(Context::current().threads()),
      isa_(Context::current().isa()),
      provider_(Context::current().provider()),
      precision_(Context::current().precision()),
      small_(Context::current().small()) {
  list_ = fused_steps(config, x);
  const Steps& list = list_;
  expect_parameters(list, parameters_);
  output_ = list.shape_of(list.output);
  std::vector<PreparedStep> steps;
  for (const Step& step : list.steps) steps.push_back(prepared(step, Context::current()));
  arena_ = arena_of(list, steps);

  const auto place_of = [&](int v) -> Place {
    const StepValue& value = list.values[static_cast<size_t>(v)];
    const int64_t first = value.first * size_of(DType::f32);
    if (value.storage == list.input) return {Place::In::input, first};
    const int64_t at = arena_.values[static_cast<size_t>(value.storage)];
    return at < 0 ? Place{} : Place{Place::In::arena, at + first};
  };
  const auto storage_of = [&](int v) { return list.values[static_cast<size_t>(v)].storage; };
  const auto stride_of = [&](int v) { return list.shape_of(storage_of(v)).channels(); };
  logits_ = place_of(list.output);
  const Tensor* p = parameters_.data();
  operations_.reserve(list.steps.size());  // they point to each other
  for (size_t i = 0; i < list.steps.size(); ++i) {
    const Step& step = list.steps[i];
    Operation operation{steps[i], {}, place_of(step.output), arena_.scratch[i]};
    for (const int v : step.inputs) operation.inputs.push_back(place_of(v));
    operation.tables_only = step.op == Op::norm_tables;
    operation.unstored = is_unstored(list, steps, i);
    if (i >= 2 && operations_[i - 2].unstored) operation.again = &operations_[i - 2];
    if (moments_bytes(list, step, steps[i]) > 0) operation.moments = {Place::In::arena, arena_.moments[i]};
    const auto residual = [&](const auto& epilogue, kernels::Strided<float>& to, Place& place) {
      if (!epilogue.residual) return;
      to.ld = stride_of(*epilogue.residual);
      place = place_of(*epilogue.residual);
    };
    residual(step.epilogue, operation.fusing.epilogue.residual, operation.residual);
    residual(step.prologue, operation.fusing.prologue.residual, operation.read_residual);
    if (step.prologue.norm) operation.tables = place_of(*step.prologue.norm);
    if (step.op == Op::concat) {
      int64_t first = 0;
      for (size_t part = 0; part < step.inputs.size(); ++part) {
        const int v = step.inputs[part];
        const int64_t channels = list.shape_of(v).channels();
        if (storage_of(v) != storage_of(step.output)) operation.parts.push_back({part, first, channels, stride_of(v)});
        first += channels;
      }
      operation.rows = list.shape_of(step.output).rows();
      operation.stride = stride_of(step.output);
    }
    take_weights(step, p, operation);
    operations_.push_back(std::move(operation));
    p += step.parameters.size();
  }
}

kernels::Epilogue<kernels::Strided<float>> Plan::constants_of(const Epilogue<std::optional<int>>& of,
                                                              const Tensor* parameters, size_t first, size_t last) {
  kernels::Epilogue<kernels::Strided<float>> e{of.before, of.after};
  const size_t own = of.norm ? static_cast<size_t>(*of.norm) : last;
  if (first + 1 < own) e.bias.data = parameters[first + 1].data<float>();
  if (!of.norm) return e;
  const Tensor* const norm = parameters + own;
  const int64_t c = norm->numel();
  const Tensor mean = kernels::mean_table(norm[2]), rstd = kernels::reciprocal_deviation(norm[3], kEpsilon);
  constants_.push_back(Tensor::empty(Device::cpu, {3, c}));
  float* const tables = constants_.back().data<float>();
  kernels::norm_tables(mean.data<double>(), rstd.data<double>(), norm[0].data<float>(), norm[1].data<float>(), 1, c,
                       tables);
  e.norm = {tables, c};
  return e;
}

void Plan::take_weights(const Step& step, const Tensor* p, Operation& operation) {
  const size_t own = step.epilogue.norm ? static_cast<size_t>(*step.epilogue.norm) : step.parameters.size();
  const auto values = [&](size_t i) { return i < own ? p[i].data<float>() : nullptr; };
  const auto fuses = [&] {
    const kernels::Strided<float> residual = operation.fusing.epilogue.residual;
    operation.fusing.epilogue = constants_of(step.epilogue, p, step.second, step.parameters.size());
    operation.fusing.epilogue.residual = residual;
    kernels::Epilogue<kernels::Strided<float>>& read = operation.fusing.prologue;
    read.after = step.prologue.after;
    read.norm.ld = operation.tables.in == Place::In::nowhere ? 0 : list_.shape_of(step.inputs[0]).channels();
  };
  const auto packed = [&](const auto& prepared, const auto& make) {
    operation.packed = packed_->get(values(0), prepared.row, prepared.packed_bytes, make);
  };
  std::visit(Overloaded{[&](const kernels::PreparedConvolution<float>& of) {
                          operation.weights = values(0);
                          fuses();
                          if (!keeps(of)) return;
                          packed(of, [&](float* into) {
                            pack(of, kernels::forward_weights<float>(of.dims, operation.weights), into);
                          });
                        },
                        [&](const kernels::PreparedDepthwise& of) {
                          fuses();
                          packed(of, [&](float* into) { pack(of, values(0), false, into); });
                        },
                        [&](const kernels::PreparedUpConvolution& of) {
                          fuses();
                          packed(of, [&](float* into) { pack(of, values(0), into); });
                        },
                        [&](const kernels::PreparedPointwisePair& of) {
                          fuses();
                          operation.between = constants_of(step.between, p, 0, step.second);
                          packed(of, [&](float* into) { pack(of, values(0), values(step.second), into); });
                        },
                        [&](const kernels::PreparedMultiscaleDepthwise& of) {
                          packed(of, [&](float* into) {
                            pack(of, {values(0), values(2), values(4), values(6)},
                                 {values(1), values(3), values(5), values(7)}, false, into);
                          });
                        },
                        [&](const kernels::PreparedNorm&) {
                          operation.gamma = values(0);
                          operation.beta = values(1);
                        },
                        [&](const kernels::PreparedLayerNorm&) {
                          operation.gamma = values(0);
                          operation.beta = values(1);
                        },
                        [](const auto&) {}},
             operation.prepared);
}

ForwardCost forward_cost(const Config& config, const Shape& x) {
  const Steps list = fused_steps(config, x);
  const Context& context = Context::current();
  const auto rounded = [&](int64_t bytes) { return context.allocator()->rounded(bytes); };
  ForwardCost cost;
  std::vector<PreparedStep> steps;
  for (const Step& step : list.steps) {
    steps.push_back(prepared(step, context));
    const auto tables = [&](int64_t channels) { cost.packed_bytes += rounded(3 * channels * size_of(DType::f32)); };
    if (step.epilogue.norm) tables(list.shape_of(step.output).channels());
    if (step.between.norm) tables(step.parameters[0].shape[0]);
    cost.packed_bytes += std::visit(
        Overloaded{[](const std::monostate&) { return int64_t{0}; },
                   [&](const kernels::PreparedConvolution<float>& p) { return keeps(p) ? rounded(p.packed_bytes) : 0; },
                   [&](const auto& p) { return p.packed_bytes == 0 ? 0 : rounded(p.packed_bytes); }},
        steps.back());
  }
  cost.peak_bytes = rounded(x.numel() * size_of(DType::f32)) + rounded(arena_of(list, steps).bytes);
  return cost;
}

bool Plan::fits(const Context& context) const {
  return context.threads() == threads_ && context.isa() == isa_ && context.provider() == provider_ &&
         context.precision() == precision_ && context.small() == small_;
}

const char* Plan::row_of(size_t step) const {
  return std::visit(
      []<class P>(const P& p) {
        if constexpr (std::is_same_v<P, std::monostate>)
          return "copy";
        else
          return p.row->name;
      },
      operations_[step].prepared);
}

int64_t Plan::scratch_bytes(size_t step) const { return lgms::scratch_bytes(operations_[step].prepared); }

StepWork Plan::work_of(size_t index) const {
  const Step& step = list_.steps[index];
  const double flop = 2. * static_cast<double>(step.macs + step.attention_macs + step.upsample_macs);
  const auto* const p = std::get_if<kernels::PreparedConvolution<float>>(&operations_[index].prepared);
  const bool transformed = p != nullptr && p->row->rounding == kernels::Rounding::transformed;
  int64_t elements = list_.shape_of(step.output).numel();
  for (const int v : step.inputs) elements += list_.shape_of(v).numel();
  for (const ParameterSpec& spec : step.parameters) elements += spec.shape.numel();
  // An up-convolution mixes channels on a quarter, or an eighth, of the pixels.
  const double less = step.op == Op::up_convolution ? (list_.rank == 3 ? 8 : 4) : transformed ? 4 : 1;
  const Precision precision = std::visit(
      []<class P>(const P& of) {
        if constexpr (requires { of.row->precision; })
          return of.row->precision;
        else
          return Precision::f32;
      },
      operations_[index].prepared);
  return {flop, flop / less, static_cast<double>(elements * size_of(DType::f32)), precision};
}

TensorView Plan::run(const TensorView& x, const TensorView& arena, const AfterStep& after) const {
  kernels::expect_shape("plan", "x", x, input_);
  kernels::expect_type("plan", "x", x, DType::f32);
  kernels::expect_dense("plan", "x", x);
  check(x.device() == Device::cpu, ErrorKind::usage, "[plan] x: expected memory of cpu, got ", x.device());
  const Context& context = Context::current();
  check(fits(context), ErrorKind::usage, "[plan] context: expected ", threads_, " thread(s), ", name_of(isa_),
        ", provider ", name_of(provider_), " and ", name_of(precision_), small_ ? ", small" : "",
        ", for which it was made, got ", context.threads(), ", ", name_of(context.isa()), ", ",
        name_of(context.provider()), " and ", name_of(context.precision()), context.small() ? ", small" : "");
  const int64_t bytes =
      arena.defined() && arena.is_dense() && arena.device() == Device::cpu ? arena.numel() * size_of(arena.dtype()) : 0;
  check(bytes >= arena_.bytes && reinterpret_cast<uintptr_t>(arena.memory()) % 64 == 0, ErrorKind::usage,
        "[plan] arena: expected ", arena_.bytes, " bytes of cpu, 64-byte aligned, got ", bytes);
  const Bases bases{static_cast<char*>(arena.memory()), static_cast<char*>(x.memory())};
  for (size_t i = 0; i < operations_.size(); ++i) {
    run(i, bases);
    if (after) after(i);
  }
  return {bases.at(logits_), DType::f32, output_};
}

Tensor Plan::run(const Tensor& x) const {
  const Tensor arena = Tensor::empty(Device::cpu, {arena_.bytes / int64_t{sizeof(float)}});
  run(x, arena);
  return arena.slice(logits_.offset / int64_t{sizeof(float)}, output_.numel()).reshaped(output_);
}

kernels::Fusing<float> Plan::fusing_of(const Operation& o, const Bases& bases) const {
  kernels::Fusing<float> f = o.fusing;
  f.epilogue.residual.data = bases.at(o.residual);
  f.prologue.residual.data = bases.at(o.read_residual);
  f.prologue.norm.data = bases.at(o.tables);
  f.moments = bases.at(o.moments);
  return f;
}

// A 1x1 convolution that makes its output, or what it reads, block by block (is_unstored).
void Plan::run_in_blocks(const Operation& o, const float* packed, const Bases& bases) const {
  const Operation& made = o.unstored ? o : *o.again;
  const auto &own = std::get<kernels::PreparedConvolution<float>>(o.prepared),
             &maker = std::get<kernels::PreparedConvolution<float>>(made.prepared);
  kernels::Fusing<float> making = fusing_of(made, bases);
  const kernels::Fusing<float> reading = fusing_of(o, bases);
  if (!o.unstored) making.moments = nullptr;  // which the first pass has left
  const auto floats = [](int64_t bytes) { return bytes / int64_t{sizeof(float)}; };
  float* const own_scratch = reinterpret_cast<float*>(bases.arena + o.scratch);
  float* const blocks = own_scratch + floats(lgms::scratch_bytes(o.prepared));
  const int64_t own_step = floats(aligned_bytes<float>(own.row->scratch_size(own.dims))),
                step = floats(blocks_bytes(maker, 1));
  const float *const x = bases.at(made.inputs[0]), *const made_packed = o.unstored ? packed : made.packed;
  float* const y = bases.at(o.output);
  parallel_ranges(maker.units, 4, [&](int64_t first, int64_t last, int worker) {
    float *const block = blocks + worker * step, *const scratch = block + block_size(maker);
    for (int64_t unit = first; unit < last; ++unit) {
      // Rows take the whole of a tensor and the units in it: where it would begin.
      const auto whole = reinterpret_cast<uintptr_t>(block) -
                         static_cast<uintptr_t>(block_start(maker, unit) * maker.dims.ldy) * sizeof(float);
      maker.row->run(maker.dims, unit, unit + 1, x, made_packed, making, reinterpret_cast<float*>(whole), scratch);
      if (!o.unstored)
        own.row->run(own.dims, unit, unit + 1, reinterpret_cast<const float*>(whole), packed, reading, y,
                     own_scratch + own_step * worker);
    }
  });
}

void Plan::run(size_t step, const Bases& bases) const {
  const Operation& o = operations_[step];
  const auto in = [&](size_t i) -> const float* { return i < o.inputs.size() ? bases.at(o.inputs[i]) : nullptr; };
  float* const y = bases.at(o.output);
  char* const scratch = bases.arena + o.scratch;
  const auto floats = [](char* at) { return reinterpret_cast<float*>(at); };
  const auto fusing = [&] { return fusing_of(o, bases); };
  std::visit(
      Overloaded{
          [&](const std::monostate&) {
            for (const Part& part : o.parts) {
              const Shape shape{o.rows, part.channels};
              copy({bases.at(o.inputs[part.input]), DType::f32, shape, part.stride},
                   {y + part.first, DType::f32, shape, o.stride});
            }
          },
          [&](const kernels::PreparedConvolution<float>& p) {
            const float* packed = o.packed;
            if (packed == nullptr) {
              float* const into = floats(scratch + aligned_bytes<char>(p.scratch_bytes));
              pack(p, kernels::forward_weights<float>(p.dims, o.weights), into);
              packed = into;
            }
            if (o.unstored || o.again != nullptr)
              run_in_blocks(o, packed, bases);
            else
              kernels::run<float>(p, in(0), packed, fusing(), y, floats(scratch));
          },
          [&](const kernels::PreparedDepthwise& p) { kernels::run(p, in(0), o.packed, fusing().epilogue, y); },
          [&](const kernels::PreparedMultiscaleDepthwise& p) { kernels::run(p, in(0), o.packed, y, floats(scratch)); },
          [&](const kernels::PreparedNorm& p) {
            const auto table = [&](int64_t i) {
              return reinterpret_cast<double*>(scratch + aligned_bytes<char>(p.scratch_bytes) + i * table_bytes(p));
            };
            double *const mean = table(0), *const variance = table(1), *const rstd = table(2);
            const int64_t m = p.dims.m(), c = p.dims.c;
            if (step > 0 && operations_[step - 1].moments.in == Place::In::arena) {
              const Operation& by = operations_[step - 1];
              run_statistics(
                  p, bases.at(by.moments), blocks_of(by.prepared),
                  [&](int64_t block) { return pixels_of(by.prepared, block); }, mean, variance, scratch);
            } else {
              run_statistics(p, in(0), mean, variance, scratch);
            }
            kernels::reciprocal_deviation(variance, m * c, kEpsilon, rstd);
            if (o.tables_only)
              kernels::norm_tables(mean, rstd, o.gamma, o.beta, m, c, y);
            else
              kernels::run(p, in(0), mean, rstd, o.gamma, o.beta, in(1), y, scratch);
          },
          [&](const kernels::PreparedLayerNorm& p) { kernels::run(p, in(0), o.gamma, o.beta, y); },
          [&](const kernels::PreparedAttention& p) {
            kernels::run(p, in(0), y, floats(scratch + aligned_bytes<char>(p.scratch_bytes)), floats(scratch));
          },
          [&](const kernels::PreparedActivation& p) { kernels::run(p, in(0), y); },
          [&](const kernels::PreparedAdd& p) { kernels::run(p, in(0), in(1), y); },
          [&](const kernels::PreparedUpConvolution& p) {
            kernels::run(p, in(0), o.packed, fusing(), y, floats(scratch));
          },
          [&](const kernels::PreparedPointwisePair& p) {
            kernels::run(p, in(0), o.packed, o.between, fusing().epilogue, y, floats(scratch));
          },
          [&](const kernels::PreparedUpsample& p) { kernels::run(p, in(0), y); },
          [&](const kernels::PreparedMaxPool& p) { kernels::run(p, in(0), y, nullptr); }},
      o.prepared);
}

std::shared_ptr<const Plan> Plans::get(const Config& config, const std::vector<Tensor>& parameters, const Shape& x) {
  const std::lock_guard lock(mutex_);
  uint64_t version = 0;
  for (const Tensor& p : parameters) version += p.version();
  if (!packed_ || version != version_) {
    plans_.clear();
    packed_ = std::make_shared<PackedWeights>();
    version_ = version;
  }
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const auto& plan) {
    return plan->input() == x && plan->fits(Context::current());
  });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
    return plans_.back();
  }
  auto plan = std::make_shared<const Plan>(config, parameters, packed_, x);
  if (plans_.size() == kMost) plans_.erase(plans_.begin());
  plans_.push_back(plan);
  return plan;
}

}  // namespace lgms
