#include "kernels/convolution/pointwise_pair.h"

namespace lgms::kernels {
namespace {

constexpr int64_t kPixels = 192;  // of a piece: 256 numbers between, of each, are 192 KiB, a part of L2

// A convolution of a piece: one row of an image.
ConvolutionDims piece_of(ConvolutionDims d, int64_t pixels) {
  d.n = d.d = d.h = 1;
  d.w = pixels;
  return d;
}

int64_t floats_between(const PreparedPointwisePair& p) { return p.first.dims.rows() * p.first.dims.ldy; }
// Of a thread: what lies between, and what either row takes.
int64_t bytes_of_thread(const PreparedPointwisePair& p) {
  const auto scratch = [](const PreparedConvolution<float>& c) {
    return aligned_bytes<float>(c.row->scratch_size(c.dims));
  };
  return aligned_bytes<float>(floats_between(p)) + std::max(scratch(p.first), scratch(p.second));
}

}  // namespace

PreparedPointwisePair prepare(const PointwisePairDims& d, Rounding rounding, const Context& context) {
  const int64_t pixels = d.first.rows(), piece = std::min(pixels, kPixels);
  PointwisePairDims pieces{piece_of(d.first, piece), piece_of(d.second, piece)};
  pieces.first.ldy = pieces.second.ldx = d.first.cout;
  PreparedPointwisePair p{nullptr, d, prepare(pieces.first, rounding, context),
                          prepare(pieces.second, rounding, context)};
  p.row = p.second.row;
  p.units = piece == 0 ? 0 : (pixels + piece - 1) / piece;
  p.packed_bytes = p.first.packed_bytes + p.second.packed_bytes;
  p.scratch_bytes = bytes_of_thread(p) * context.threads();
  return p;
}

void pack(const PreparedPointwisePair& p, const float* first, const float* second, float* packed) {
  pack(p.first, forward_weights<float>(p.first.dims, first), packed);
  pack(p.second, forward_weights<float>(p.second.dims, second), packed + p.first.packed_bytes / int64_t{sizeof(float)});
}

void run(const PreparedPointwisePair& p, const float* x, const float* packed, const Epilogue<Strided<float>>& first,
         const Epilogue<Strided<float>>& second, float* y, float* scratch) {
  const ConvolutionDims &a = p.first.dims, &b = p.second.dims;
  const int64_t pixels = p.dims.first.rows(), each = bytes_of_thread(p) / int64_t{sizeof(float)},
                between = aligned_bytes<float>(floats_between(p)) / int64_t{sizeof(float)};
  const float* const packed_second = packed + p.first.packed_bytes / int64_t{sizeof(float)};
  parallel_ranges(p.units, 1, [&](int64_t from, int64_t until, int worker) {
    float* const hidden = scratch + worker * each;
    for (int64_t u = from; u < until; ++u) {
      const int64_t pixel = u * a.w, n = std::min(a.w, pixels - pixel);
      const ConvolutionDims da = piece_of(a, n), db = piece_of(b, n);
      Epilogue<Strided<float>> last = second;
      if (last.residual.data) last.residual.data += pixel * last.residual.ld;
      p.first.row->run(da, 0, p.first.row->units(da), x + pixel * a.ldx, packed, {.epilogue = first}, hidden,
                       hidden + between);
      p.second.row->run(db, 0, p.second.row->units(db), hidden, packed_second, {.epilogue = last}, y + pixel * b.ldy,
                        hidden + between);
    }
  });
}

}  // namespace lgms::kernels
