#include <cmath>

#include "core/transform/cut.h"
#include "core/transform/layout.h"
#include "core/transform/orientation.h"
#include "core/transform/resample.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::transform;
using namespace lgms::testing;

namespace {

using Matrix = std::array<std::array<double, 3>, 3>;
using Point = std::array<double, 3>;

Point apply(const Affine& m, double i, double j, double k) {
  Point p;
  for (size_t r = 0; r < 3; ++r) p[r] = m[r][0] * i + m[r][1] * j + m[r][2] * k + m[r][3];
  return p;
}

// Rotations about x, y, z by angles in radians, one after another, times the spacings of (i, j, k).
Affine turned(double x, double y, double z, const Point& spacing, const Point& origin = {}) {
  const auto times = [](const Matrix& a, const Matrix& b) {
    Matrix c{};
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 3; ++j)
        for (size_t k = 0; k < 3; ++k) c[i][j] += a[i][k] * b[k][j];
    return c;
  };
  const Matrix about_x{{{1, 0, 0}, {0, std::cos(x), -std::sin(x)}, {0, std::sin(x), std::cos(x)}}};
  const Matrix about_y{{{std::cos(y), 0, std::sin(y)}, {0, 1, 0}, {-std::sin(y), 0, std::cos(y)}}};
  const Matrix about_z{{{std::cos(z), -std::sin(z), 0}, {std::sin(z), std::cos(z), 0}, {0, 0, 1}}};
  const Matrix r = times(about_z, times(about_y, about_x));
  Affine affine;
  for (size_t i = 0; i < 3; ++i)
    affine[i] = {r[i][0] * spacing[0], r[i][1] * spacing[1], r[i][2] * spacing[2], origin[i]};
  return affine;
}

// Every way to put the axes of a file: column c of the affine points along axis[c], backwards where the bit c is set.
template <class F>
void for_all_orientations(const F& f) {
  for (const std::array<size_t, 3>& axis :
       std::vector<std::array<size_t, 3>>{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}})
    for (unsigned signs = 0; signs < 8; ++signs) {
      Affine affine{};
      for (size_t c = 0; c < 3; ++c)
        affine[axis[c]][c] = (signs >> c & 1 ? -1 : 1) * (1 + 0.5 * static_cast<double>(c));
      f(affine);
    }
}

// The voxel of x [D, H, W] that is farthest along a direction must be the last of that axis after to_ras.
void check_right_anterior_superior(const Affine& affine) {
  const Size3 size{2, 3, 4};
  const Orientation o = to_ras(affine);
  const Size3 turned_size = reoriented(size, o);
  const Tensor x = Tensor::empty({2, 3, 4, 3});
  for (int64_t d = 0; d < 2; ++d)
    for (int64_t h = 0; h < 3; ++h)
      for (int64_t w = 0; w < 4; ++w) {
        const Point mm = apply(affine, static_cast<double>(w), static_cast<double>(h), static_cast<double>(d));
        for (int64_t c = 0; c < 3; ++c)
          x.data<float>()[((d * 3 + h) * 4 + w) * 3 + c] = static_cast<float>(mm[static_cast<size_t>(c)]);
      }
  const Tensor y = reorient(x, o);  // its axes are x, y, z, and its channels say where its voxels are
  REQUIRE(y.shape() == Shape{turned_size[0], turned_size[1], turned_size[2], 3});
  const auto at = [&](int64_t a, int64_t b, int64_t c, int64_t channel) {
    return y.data<float>()[((a * turned_size[1] + b) * turned_size[2] + c) * 3 + channel];
  };
  const auto spacing = reoriented(spacing_of(affine), o);
  for (int64_t a = 0; a + 1 < turned_size[0]; ++a) CHECK(at(a + 1, 0, 0, 0) > at(a, 0, 0, 0));
  for (int64_t b = 0; b + 1 < turned_size[1]; ++b) CHECK(at(0, b + 1, 0, 1) > at(0, b, 0, 1));
  for (int64_t c = 0; c + 1 < turned_size[2]; ++c) CHECK(at(0, 0, c + 1, 2) > at(0, 0, c, 2));
  const auto distance = [&](int64_t a, int64_t b, int64_t c) {
    return std::hypot(at(a, b, c, 0) - at(0, 0, 0, 0), at(a, b, c, 1) - at(0, 0, 0, 1),
                      at(a, b, c, 2) - at(0, 0, 0, 2));
  };
  CHECK(distance(1, 0, 0) == doctest::Approx(spacing[0]));
  CHECK(distance(0, 1, 0) == doctest::Approx(spacing[1]));
  CHECK(distance(0, 0, 1) == doctest::Approx(spacing[2]));
}

float at(const Tensor& x, int64_t d, int64_t h, int64_t w, int64_t c) {
  const Shape& s = x.shape();
  return x.data<float>()[((d * s[1] + h) * s[2] + w) * x.row_stride() + c];
}

// Trilinear interpolation, straight from its definition, in double.
Tensor resampled_by_hand(const Tensor& x, const Size3& size) {
  const Shape& s = x.shape();
  const Tensor y = Tensor::empty({size[0], size[1], size[2], s[3]}, DType::f64);
  double* into = y.data<double>();
  const auto position = [](int64_t i, int64_t in, int64_t out) {
    const double p = (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
    return std::min(std::max(p, 0.0), static_cast<double>(in - 1));
  };
  for (int64_t d = 0; d < size[0]; ++d)
    for (int64_t h = 0; h < size[1]; ++h)
      for (int64_t w = 0; w < size[2]; ++w)
        for (int64_t c = 0; c < s[3]; ++c) {
          const double p[3] = {position(d, s[0], size[0]), position(h, s[1], size[1]), position(w, s[2], size[2])};
          double sum = 0;
          for (int corner = 0; corner < 8; ++corner) {
            double weight = 1;
            int64_t index[3];
            for (int a = 0; a < 3; ++a) {
              const double low = std::floor(p[a]);
              const bool high = corner >> a & 1;
              weight *= high ? p[a] - low : 1 - (p[a] - low);
              index[a] = std::min(static_cast<int64_t>(low) + high, s[a] - 1);
            }
            sum += weight * static_cast<double>(at(x, index[0], index[1], index[2], c));
          }
          *into++ = sum;
        }
  return y;
}

const std::vector<Size3> sizes{{1, 1, 1}, {2, 3, 4}, {5, 4, 3}, {4, 6, 8}, {9, 7, 5}, {3, 2, 17}, {10, 1, 2}};

}  // namespace

TEST_CASE("geometry: spacings are the lengths of the columns, along (D, H, W)") {
  const Affine affine{{{0, 3, 7, 1}, {0, 4, 0, 2}, {-2, 0, 0, 3}}};
  CHECK(spacing_of(affine) == std::array<double, 3>{7, 5, 2});
  CHECK(!is_singular(affine));
  const auto turned_spacing = spacing_of(turned(0.1, 0.2, 0.3, {0.7, 0.8, 3}));
  CHECK(turned_spacing[0] == doctest::Approx(3));
  CHECK(turned_spacing[2] == doctest::Approx(0.7));
  CHECK(is_singular({}));
  CHECK(is_singular({{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 0, 0, 0}}}));
  CHECK(is_singular({{{1, 0, 0, 0}, {0, 1, 0, std::nan("")}, {0, 0, 1, 0}}}));
  CHECK(!is_singular({{{1e-9, 0, 0, 0}, {0, 1e9, 0, 0}, {0, 0, 1, 0}}}));
}

TEST_CASE("orientation: the identity's axes are turned to (x, y, z), those of an LPS file once more") {
  CHECK(to_ras(kIdentityAffine) == Orientation{{2, 1, 0}, {}});
  CHECK(to_ras({{{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}}}) == Orientation{{2, 1, 0}, {true, true, false}});
  // Sagittal slices: i goes to the back, j down, k to the left.
  CHECK(to_ras({{{0, 0, -2, 0}, {-1, 0, 0, 0}, {0, -1, 0, 0}}}) == Orientation{{0, 2, 1}, {true, true, true}});
}

TEST_CASE("orientation: flipped, permuted and oblique files all end up right, anterior, superior") {
  for_all_orientations(check_right_anterior_superior);
  for (const double angle : {-0.6, -0.2, 0.3, 0.5})
    for (const auto& [x, y, z] : std::vector<Point>{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.5, -0.7, 0.6}})
      check_right_anterior_superior(turned(angle * x, angle * y, angle * z, {0.7, 1.2, 3}, {-90, 120, -70}));
  // A sheared frame, as a tilted gantry leaves it.
  check_right_anterior_superior({{{-0.5, 0, 0, 0}, {0, -0.5, -0.4, 0}, {0, 0, 3, 0}}});
}

TEST_CASE("orientation: where two axes lie closest to one direction, the more certain one gets it") {
  // R = [0.50 0.10 0.86; 0.62 -0.73 -0.28; 0.60 0.67 -0.43]: k takes x, then j takes y, and i, closest to y, is left
  // with z. In the order i, j, k, i would take y and j z.
  CHECK(to_ras(turned(-1, -2.5, -2.25, {1, 1, 1})) == Orientation{{0, 1, 2}, {false, true, false}});
  CHECK(error_of([] { to_ras({}); }) == "[to_ras] affine: expected three independent axes");
}

TEST_CASE("orientation: there and back is exact for every orientation, every type, several channels, strided rows") {
  for_all_orientations([](const Affine& affine) {
    const Orientation o = to_ras(affine);
    CHECK(o.inverse().inverse() == o);
    for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8})
      for (const int64_t c : {1, 3}) {
        const Tensor x = randn({3, 4, 5, c}, 1, dtype, c == 3 ? 2 : 0), y = reorient(x, o);
        CHECK(y.dtype() == dtype);
        CHECK(max_difference(reorient(y, o.inverse()), x) == 0);
      }
  });
  const Size3 size{3, 4, 5};
  const Orientation o{{2, 0, 1}, {true, false, true}};
  CHECK(reoriented(size, o) == Size3{5, 3, 4});
  CHECK(reoriented(reoriented(size, o), o.inverse()) == size);
  CHECK(reoriented(std::array<double, 3>{1, 2, 3}, o) == std::array<double, 3>{3, 1, 2});
  const Tensor x = randn({3, 4, 5, 1}, 1, DType::f32), y = reorient(x, o);
  for (int64_t a = 0; a < 5; ++a)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t c = 0; c < 4; ++c) CHECK(at(y, a, b, c, 0) == at(x, b, 3 - c, 4 - a, 0));
}

TEST_CASE("orientation: the same voxels for any number of threads") {
  ContextOptions options;
  options.threads = 3;
  Context context(options);
  const Tensor x = randn({31, 40, 29, 2}, 1, DType::f32);
  const Orientation o{{1, 2, 0}, {false, true, true}};
  const Tensor want = reorient(x, o), want_linear = resample_linear(x, {50, 30, 44}),
               want_nearest = resample_nearest(x, {50, 30, 44});
  const Context::Scope scope(context);
  CHECK(max_difference(reorient(x, o), want) == 0);
  CHECK(max_difference(resample_linear(x, {50, 30, 44}), want_linear) == 0);
  CHECK(max_difference(resample_nearest(x, {50, 30, 44}), want_nearest) == 0);
}

TEST_CASE("resample: sizes are rounded, at least 1, and the same at the same spacing") {
  CHECK(resampled_size({10, 20, 30}, {3, 1, 0.5}, {1.5, 2, 1}) == Size3{20, 10, 15});
  CHECK(resampled_size({1, 3, 5}, {1, 1, 1}, {100, 2, 2}) == Size3{1, 2, 3});
  for (const double spacing : {0.1, 0.3, 0.7, 0.78125, 1.0 / 3, 0.9765625f * 1.0})
    for (int64_t n : {1, 7, 99, 511, 1000})
      CHECK(resampled_size({n, n, n}, {spacing, spacing, spacing}, {spacing, spacing, spacing}) == Size3{n, n, n});
  for (const double bad : {0.0, -1.0, std::nan(""), 1e-12}) {
    CHECK(error_of([&] { resampled_size({10, 10, 10}, {1, 1, 1}, {1, bad, 1}); }) != "");
    CHECK((bad == 1e-12 || error_of([&] { resampled_size({10, 10, 10}, {1, bad, 1}, {1, 1, 1}); }) != ""));
  }
}

TEST_CASE("resample_linear: equals the definition at every pair of sizes, several channels, strided rows") {
  for (const Size3& from : sizes)
    for (const Size3& into : sizes)
      for (const int64_t c : {1, 3}) {
        CAPTURE(Shape({from[0], from[1], from[2], into[0], into[1]}));
        const Tensor x = randn({from[0], from[1], from[2], c}, 1, DType::f32, c == 3 ? 2 : 0);
        // Weights and three mixes are rounded to float.
        CHECK(max_difference(resample_linear(x, into), resampled_by_hand(x, into)) < 8 * 6e-8 * max_magnitude(x));
      }
}

TEST_CASE("resample: the same size returns the same values, and constants stay what they are") {
  for (const Size3& s : sizes) {
    const Tensor x = randn({s[0], s[1], s[2], 2}, 1, DType::f32);
    CHECK(max_difference(resample_linear(x, s), x) == 0);
    CHECK(max_difference(resample_nearest(x, s), x) == 0);
    for (const Size3& into : sizes)
      CHECK(max_difference(resample_linear(Tensor::full({s[0], s[1], s[2], 1}, 0.3), into),
                           Tensor::full({into[0], into[1], into[2], 1}, 0.3)) == 0);
  }
}

TEST_CASE("resample_linear: a ramp stays a ramp") {
  const Tensor x = Tensor::empty({8, 1, 1, 1});
  for (int64_t i = 0; i < 8; ++i) x.data<float>()[i] = static_cast<float>(i);
  const Tensor y = resample_linear(x, {16, 1, 1});
  CHECK(at(y, 0, 0, 0, 0) == 0);  // clamped
  for (int64_t i = 1; i < 15; ++i) CHECK(at(y, i, 0, 0, 0) == static_cast<float>(i) / 2 - 0.25f);
  CHECK(at(y, 15, 0, 0, 0) == 7);
}

TEST_CASE("resample_linear: slabs are the same bits as the whole, from no more slices than they say") {
  for (const int64_t depth : {1, 2, 9, 20})
    for (const int64_t out : {1, 5, 9, 31}) {
      const Size3 size{out, 6, 7};
      const Tensor x = randn({depth, 5, 4, 3}, 1, DType::f32), whole = resample_linear(x, size);
      for (int64_t first = 0; first < out; ++first)
        for (const int64_t last : {first + 1, std::min(first + 4, out), out}) {
          const auto needed = source_slices(depth, out, first, last);
          const Tensor part = x.slice_batch(needed[0], needed[1] - needed[0]).clone();
          const Tensor slab = resample_linear_slab(part, needed[0], depth, size, first, last);
          CHECK(max_difference(slab, whole.slice_batch(first, last - first)) == 0);
          if (needed[1] - needed[0] < 2) continue;
          const Tensor less = part.slice_batch(1, needed[1] - needed[0] - 1).clone();
          CHECK(error_of([&] { resample_linear_slab(less, needed[0] + 1, depth, size, first, last); }) != "");
          CHECK(error_of([&] { resample_linear_slab(less, needed[0], depth, size, first, last); }) != "");
        }
    }
  CHECK(source_slices(10, 10, 3, 5) == std::array<int64_t, 2>{3, 6});
  CHECK(error_of([] { source_slices(10, 10, 5, 5); }) != "");
  CHECK(error_of([] { source_slices(10, 10, 5, 11); }) != "");
}

TEST_CASE("resample_nearest: equals the definition for every type, and moves labels whole") {
  for (const Size3& from : sizes)
    for (const Size3& into : sizes)
      for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8}) {
        const Tensor x = integers({from[0], from[1], from[2], 2}, 1, dtype, 1), y = resample_nearest(x, into);
        REQUIRE(y.dtype() == dtype);
        const Tensor xf = x.to(DType::f32), yf = y.to(DType::f32);
        bool same = true;
        const auto source = [](int64_t i, int64_t in, int64_t out) { return (2 * i + 1) * in / (2 * out); };
        for (int64_t d = 0; d < into[0]; ++d)
          for (int64_t h = 0; h < into[1]; ++h)
            for (int64_t w = 0; w < into[2]; ++w)
              for (int64_t c = 0; c < 2; ++c)
                same = same && at(yf, d, h, w, c) == at(xf, source(d, from[0], into[0]), source(h, from[1], into[1]),
                                                        source(w, from[2], into[2]), c);
        CHECK(same);
      }
}

TEST_CASE("resample_nearest: a label map brought to a whole multiple and back is the same") {
  const Tensor x = integers({5, 6, 7, 1}, 1, DType::u8);
  for (const int64_t factor : {2, 3, 4})
    CHECK(max_difference(resample_nearest(resample_nearest(x, {5 * factor, 6 * factor, 7 * factor}), {5, 6, 7}), x) ==
          0);
}

TEST_CASE("volume transforms: labels at native spacing survive turning and resampling there and back bit for bit") {
  const Tensor labels = integers({9, 11, 13, 1}, 1, DType::u8);
  const Affine affine = turned(0.3, -0.2, 2.0, {0.7, 0.8, 2.5});
  const Orientation o = to_ras(affine);
  const Tensor turned_labels = reorient(labels, o);
  const auto spacing = reoriented(spacing_of(affine), o);
  const Size3 native = reoriented(Size3{9, 11, 13}, o), working = resampled_size(native, spacing, spacing);
  const Tensor back = resample_nearest(resample_nearest(turned_labels, working), native);
  CHECK(max_difference(reorient(back, o.inverse()), labels) == 0);
}

TEST_CASE("cut, layout: every type") {
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8}) {
    const Tensor x = testing::integers({3, 4, 5, 1}, 1).to(DType::f64).to(dtype);
    const Tensor part = cut(x, {1, 0, 2}, {2, 4, 3});
    for (int64_t d = 0; d < 2; ++d)
      for (int64_t h = 0; h < 4; ++h)
        for (int64_t w = 0; w < 3; ++w)
          CHECK(part.to(DType::f64).data<double>()[(d * 4 + h) * 3 + w] ==
                x.to(DType::f64).data<double>()[((d + 1) * 4 + h) * 5 + w + 2]);
    const Tensor y = x.reshaped({1, 1, 3, 4, 5});
    CHECK(testing::max_difference(to_channels_last(to_channels_first(y, 3)), y) == 0);
  }
}

TEST_CASE("volume transforms: wrong arguments are named") {
  const Tensor flat = Tensor::zeros({2, 2, 2}), none = Tensor::empty({0, 2, 2, 1});
  for (const Tensor& x : {flat, none}) {
    CHECK(error_of([&] { reorient(x, {}); }).starts_with("[reorient] x: expected voxels [D, H, W, C], got "));
    CHECK(error_of([&] { resample_linear(x, {1, 1, 1}); }).starts_with("[resample_linear] x: expected voxels"));
    CHECK(error_of([&] { resample_nearest(x, {1, 1, 1}); }).starts_with("[resample_nearest] x: expected voxels"));
  }
  const Tensor x = Tensor::zeros({2, 2, 2, 1});
  CHECK(error_of([&] {
          resample_linear(x, {1, 0, 1});
        }) == "[resample_linear] size: expected 1 or more, got 1 x 0 x 1");
  CHECK(error_of([&] { resample_nearest(x, {1, 1, -1}); }).find("size: expected 1 or more") != std::string::npos);
  CHECK(error_of([&] { resample_linear(x.to(DType::u8), {1, 1, 1}); }) == "[resample_linear] x: expected f32, got u8");
}
