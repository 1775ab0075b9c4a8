#include "core/formats/nifti.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <optional>

#include "core/context.h"
#include "core/error.h"
#include "core/formats/gzip.h"
#include "core/io/bytes.h"
#include "core/io/files.h"
#include "core/io/json.h"
#include "core/io/output_file.h"

namespace lgms::io {
namespace {

// The header as nifti1.h lays it out; only what is read or written here has a use.
struct Fields {
  int32_t sizeof_hdr;
  char data_type[10], db_name[18];
  int32_t extents;
  int16_t session_error;
  char regular, dim_info;
  int16_t dim[8];
  float intent_p[3];
  int16_t intent_code, datatype, bitpix, slice_start;
  float pixdim[8], vox_offset, scl_slope, scl_inter;
  int16_t slice_end;
  char slice_code, xyzt_units;
  float cal_max, cal_min, slice_duration, toffset;
  int32_t glmax, glmin;
  char descrip[80], aux_file[24];
  int16_t qform_code, sform_code;
  float quatern[3], qoffset[3], srow[3][4];
  char intent_name[16], magic[4];
};
constexpr size_t kHeaderBytes = 348, kDataOffset = 352;
static_assert(sizeof(Fields) == kHeaderBytes && std::is_trivially_copyable_v<Fields>);
constexpr char kMagic[4] = {'n', '+', '1', 0}, kPairMagic[4] = {'n', 'i', '1', 0};
constexpr uint64_t kMostInflation = 1032;  // deflate cannot expand further
constexpr uint64_t kMostBehind = uint64_t{1} << 28;

// ---- bytes of the volume ----

void swap_bytes(void* elements, size_t count, size_t size) {
  auto* p = static_cast<uint8_t*>(elements);
  for (size_t i = 0; i < count; ++i, p += size) std::reverse(p, p + size);
}
template <class T, size_t n>
void swap_bytes(T (&field)[n]) {
  swap_bytes(field, sizeof field / sizeof(std::remove_all_extents_t<T>), sizeof(std::remove_all_extents_t<T>));
}
template <class T>
void swap_bytes(T& field) {
  swap_bytes(&field, 1, sizeof field);
}
template <class... T>
void swap_all(T&... fields) {
  (swap_bytes(fields), ...);
}
void swap_header(Fields& f) {
  swap_all(f.sizeof_hdr, f.extents, f.session_error, f.dim, f.intent_p, f.intent_code, f.datatype, f.bitpix,
           f.slice_start, f.pixdim, f.vox_offset, f.scl_slope, f.scl_inter, f.slice_end, f.cal_max, f.cal_min,
           f.slice_duration, f.toffset, f.glmax, f.glmin, f.qform_code, f.sform_code, f.quatern, f.qoffset, f.srow);
}

// Fills `into` and returns how many bytes; fewer only at the end.
using Source = std::function<size_t(std::span<uint8_t> into)>;

// The bytes of a source, inflated where they are gzip's.
class Inflated {
 public:
  Inflated(Source source, uint64_t size, std::string name)
      : source_(std::move(source)), size_(size), name_(std::move(name)), buffer_(size_t{1} << 16) {
    refill();
    gzip_ = window_.size() > 2 && window_[0] == 0x1f && window_[1] == 0x8b;
    constexpr int gzip_only = 16;
    if (gzip_)
      expect(inflateInit2(&zlib_, MAX_WBITS + gzip_only) == Z_OK, ErrorKind::device, "no memory to inflate it");
  }
  ~Inflated() {
    if (gzip_) inflateEnd(&zlib_);
  }
  Inflated(const Inflated&) = delete;
  Inflated& operator=(const Inflated&) = delete;

  // Throws Error{data} unless `bytes` bytes can come out of this file.
  void expect_room_for(uint64_t bytes) const {
    if (gzip_)
      expect(bytes / kMostInflation <= size_, ErrorKind::data, "expected at most ", kMostInflation,
             " times the file's ", size_, " compressed bytes, the header claims ", bytes, "; the file is damaged");
    else
      expect(bytes <= size_, ErrorKind::data, "expected the ", bytes, " bytes that the header claims, got ", size_,
             "; the file is cut short or damaged");
  }

  // To be called behind the last voxel: reads compressed data to their end, where checksums and lengths are compared,
  // and notes what stands behind the voxels. At most kMostBehind bytes are inflated for that.
  void finish() {
    uint64_t behind = 0;
    if (gzip_) {
      Bytes unused(size_t{1} << 16);
      while (const size_t n = read_gzip(unused)) {
        behind += n;
        expect(behind <= kMostBehind, ErrorKind::data,
               "expected its compressed data to end behind the last voxel, got ", "more than ", kMostBehind,
               " bytes there; the header is damaged");
      }
    } else {
      member_end_ = taken_ - window_.size();
    }
    const uint64_t outside = size_ > member_end_ ? size_ - member_end_ : 0;
    const auto note = [this](uint64_t bytes, const char* where) {
      if (bytes > 0)
        Context::current().log(text('[', name_, "] ", bytes, " bytes behind the ", where, " were ignored"));
    };
    note(behind, "last voxel");
    note(outside, gzip_ ? "end of the compressed data" : "last voxel");
  }

  // Fills `into`; returns how many bytes, fewer only at the end, where checksums and lengths have been compared.
  size_t read(std::span<uint8_t> into) { return gzip_ ? read_gzip(into) : read_plain(into); }

  // Throws Error{data} where there are fewer bytes.
  void read_all(std::span<uint8_t> into, const char* what) {
    const size_t got = read(into);
    expect(got == into.size(), ErrorKind::data, what, ": expected ", into.size(), " more bytes, got ", got,
           "; the file is cut short or damaged");
  }

  template <class... Args>
  void expect(bool ok, ErrorKind kind, const Args&... args) const {
    check(ok, kind, '[', name_, "] ", args...);
  }

 private:
  // False where the source has no more. What is left of the buffer stays.
  bool refill() {
    std::copy(window_.begin(), window_.end(), buffer_.begin());
    const size_t left = window_.size(), got = source_(std::span(buffer_).subspan(left));
    taken_ += got;
    window_ = std::span(buffer_).first(left + got);
    return got > 0;
  }

  size_t read_plain(std::span<uint8_t> into) {
    size_t done = 0;
    while (done < into.size() && (!window_.empty() || refill())) {
      const size_t n = std::min(window_.size(), into.size() - done);
      std::copy_n(window_.begin(), n, into.begin() + static_cast<ptrdiff_t>(done));
      window_ = window_.subspan(n);
      done += n;
    }
    return done;
  }

  // Whether another member follows the one that has just ended: gzip's mark, after zeros where blocks are padded with
  // them. Anything else is not gzip's, and ignored as gzip ignores it.
  bool next_member() {
    member_end_ = taken_ - window_.size();
    while (window_.size() < 2 || window_[0] == 0) {
      if (!window_.empty() && window_[0] == 0)
        window_ = window_.subspan(1);
      else if (!refill())
        return false;
    }
    return window_[0] == 0x1f && window_[1] == 0x8b;
  }

  // A gzip file is one or more compressed members, one after another.
  size_t read_gzip(std::span<uint8_t> into) {
    size_t done = 0;
    while (done < into.size() && !ended_) {
      const bool more = !window_.empty() || refill();
      const size_t room = std::min<size_t>(into.size() - done, size_t{1} << 30);
      zlib_.next_in = window_.data();
      zlib_.avail_in = static_cast<uInt>(window_.size());
      zlib_.next_out = into.data() + done;
      zlib_.avail_out = static_cast<uInt>(room);
      const int status = inflate(&zlib_, Z_NO_FLUSH);
      window_ = window_.last(zlib_.avail_in);
      const size_t got = room - zlib_.avail_out;
      done += got;
      expect(status != Z_MEM_ERROR, ErrorKind::device, "no memory to inflate it");
      expect(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, ErrorKind::data,
             "cannot be inflated: ", zlib_.msg ? zlib_.msg : "damaged", "; the file is damaged");
      expect(more || got > 0 || status == Z_STREAM_END, ErrorKind::data,
             "its compressed data end early; the file is cut short");
      if (status != Z_STREAM_END) continue;
      ended_ = !next_member();
      if (!ended_) inflateReset(&zlib_);
    }
    return done;
  }

  Source source_;
  uint64_t size_;
  std::string name_;
  Bytes buffer_;
  std::span<uint8_t> window_;  // what is left of the buffer
  uint64_t taken_ = 0;         // bytes of the source so far
  uint64_t member_end_ = 0;    // where in the source the data ended
  bool gzip_ = false, ended_ = false;
  z_stream zlib_{};
};

// ---- the header ----

// Calls f with a zero of the type that NIfTI's code names, or returns false.
template <class F>
bool with_voxel_type(int16_t code, const F& f) {
  switch (code) {
    case 2: return f(uint8_t{}), true;
    case 4: return f(int16_t{}), true;
    case 8: return f(int32_t{}), true;
    case 16: return f(float{}), true;
    case 64: return f(double{}), true;
    case 256: return f(int8_t{}), true;
    case 512: return f(uint16_t{}), true;
    case 768: return f(uint32_t{}), true;
    case 1024: return f(int64_t{}), true;
    case 1280: return f(uint64_t{}), true;
    default: return false;
  }
}
constexpr int16_t kU8 = 2, kF32 = 16;

uint64_t bytes_per_voxel(int16_t code) {
  uint64_t bytes = 0;
  with_voxel_type(code, [&](auto zero) { bytes = sizeof zero; });
  return bytes;
}

// nifti1.h, "METHOD 2": a rotation as a unit quaternion, times the spacing, with the third axis turned round where
// pixdim[0] < 0.
Affine affine_of_qform(const Fields& f, const std::array<double, 3>& spacing, const Reader& file) {
  const double b = f.quatern[0], c = f.quatern[1], d = f.quatern[2], square = b * b + c * c + d * d;
  constexpr double most = 1 + 1e-3;  // of numbers rounded to float
  file.expect(square <= most, "qform: expected a unit quaternion, got b, c, d = ", b, ", ", c, ", ", d,
              "; the file is damaged");
  // nifti1_io's rule for a half turn: what is left of the unit there is the rounding of b, c and d.
  constexpr double least = 1e-7;
  const double a = 1 - square < least ? 0 : std::sqrt(1 - square), scale = 2 / (a * a + square);
  const double r[3][3] = {
      {1 - scale * (c * c + d * d), scale * (b * c - a * d), scale * (b * d + a * c)},
      {scale * (b * c + a * d), 1 - scale * (b * b + d * d), scale * (c * d - a * b)},
      {scale * (b * d - a * c), scale * (c * d + a * b), 1 - scale * (b * b + c * c)},
  };
  const double third = f.pixdim[0] < 0 ? -spacing[2] : spacing[2];
  Affine affine;
  for (size_t i = 0; i < 3; ++i)
    affine[i] = {r[i][0] * spacing[0], r[i][1] * spacing[1], r[i][2] * third, f.qoffset[i]};
  return affine;
}

Affine affine_of_sform(const Fields& f) {
  Affine affine;
  for (size_t i = 0; i < 3; ++i) std::copy_n(f.srow[i], 4, affine[i].begin());
  return affine;
}

// Method 2 where the qform's code is > 0, else method 1.
Affine affine_without_sform(const Fields& f, const Reader& file) {
  std::array<double, 3> spacing;
  for (size_t i = 0; i < 3; ++i) {
    spacing[i] = std::abs(double{f.pixdim[i + 1]});
    file.expect(spacing[i] > 0 && std::isfinite(spacing[i]), "pixdim[", i + 1, "]: expected mm above 0, got ",
                spacing[i], "; correct the header");
  }
  Affine affine{};
  if (f.qform_code > 0)
    affine = affine_of_qform(f, spacing, file);
  else
    for (size_t i = 0; i < 3; ++i) affine[i][i] = spacing[i];
  file.expect(!is_singular(affine), "qform: expected finite numbers; correct it, or set qform_code to 0");
  return affine;
}

Affine affine_of(const Fields& f, const Reader& file) {
  if (f.sform_code <= 0) return affine_without_sform(f, file);
  if (const Affine sform = affine_of_sform(f); !is_singular(sform)) return sform;
  constexpr const char* wrong = "sform: expected three independent axes";
  file.expect(f.qform_code > 0, wrong, "; correct it, or set sform_code to 0");
  try {
    const Affine qform = affine_without_sform(f, file);
    Context::current().log(text('[', file.name(), "] ", wrong, ", got none; its qform was taken"));
    return qform;
  } catch (const Error& e) {
    fail(e.kind(), '[', file.name(), "] ", wrong, "; its qform cannot be used either: ", e.message());
  }
}

// Of a unit of length: the lowest three bits, 1 metres, 3 micrometres; else mm, or nothing, which is taken for mm.
double millimetres(char xyzt_units) {
  const int unit = xyzt_units & 7;
  return unit == 1 ? 1000 : unit == 3 ? 0.001 : 1;
}

// Throws Error{data} naming the file where the header is not that of a volume that can be read. swapped: whether the
// file is of the other byte order; the header's bytes are those of this machine's.
NiftiHeader header_of(std::array<uint8_t, kHeaderBytes> bytes, const std::string& name, bool& swapped) {
  const Reader file({}, name, ErrorKind::data);
  auto f = std::bit_cast<Fields>(bytes);
  constexpr int32_t nifti2_bytes = 540;
  const auto opposite = static_cast<int32_t>(__builtin_bswap32(static_cast<uint32_t>(f.sizeof_hdr)));
  file.expect(f.sizeof_hdr != nifti2_bytes && opposite != nifti2_bytes,
              "expected NIfTI-1, got NIfTI-2; convert it, e.g. with nibabel's Nifti1Image.from_image");
  swapped = opposite == int32_t{kHeaderBytes};
  if (swapped) swap_header(f);
  file.expect(f.sizeof_hdr == int32_t{kHeaderBytes}, "expected a NIfTI-1 file (.nii or .nii.gz), got something else");
  file.expect(std::memcmp(f.magic, kPairMagic, 4) != 0,
              "expected header and voxels in one file, got a .hdr of a "
              ".hdr/.img pair; convert it to .nii.gz");
  file.expect(std::memcmp(f.magic, kMagic, 4) == 0,
              "expected NIfTI-1's mark \"n+1\", got none (ANALYZE 7.5, or "
              "damaged); convert it to .nii.gz");

  file.expect(f.dim[0] >= 3 && f.dim[0] <= 7, "dim[0]: expected 3 dimensions, got ", f.dim[0]);
  for (int i = 1; i <= f.dim[0]; ++i) {
    file.expect(f.dim[i] > 0, "dim[", i, "]: expected 1 or more, got ", f.dim[i], "; the file is damaged");
    file.expect(i <= 3 || f.dim[i] == 1, "dim[", i, "]: expected one volume of one channel, got ", f.dim[i],
                " of them; split it first");
  }
  NiftiHeader h{};
  h.size = {f.dim[3], f.dim[2], f.dim[1]};
  h.type = f.datatype;
  file.expect(bytes_per_voxel(h.type) > 0, "datatype: expected integers or floats of at most 64 bits, got code ",
              f.datatype, "; colours and complex numbers are not images of one channel");
  const float offset = f.vox_offset;
  file.expect(offset >= float{kDataOffset} && offset < 0x1p62f && offset == std::floor(offset), "vox_offset: expected ",
              kDataOffset, " or more, got ", offset, "; the file is damaged");
  const bool scaled = f.scl_slope != 0 && std::isfinite(f.scl_slope);
  file.expect(!scaled || std::isfinite(f.scl_inter), "scl_inter: expected a number, got ", f.scl_inter,
              "; the file is damaged");
  h.slope = scaled ? f.scl_slope : 1;
  h.intercept = scaled ? f.scl_inter : 0;
  h.affine = affine_of(f, file);
  for (auto& row : h.affine)
    for (double& v : row) v *= millimetres(f.xyzt_units);
  h.bytes = std::bit_cast<std::array<uint8_t, kHeaderBytes>>(f);
  return h;
}

uint64_t voxels_of(const NiftiHeader& h) { return static_cast<uint64_t>(h.size[0] * h.size[1] * h.size[2]); }

uint64_t data_offset(const NiftiHeader& h) { return static_cast<uint64_t>(std::bit_cast<Fields>(h.bytes).vox_offset); }

NiftiHeader read_header(Inflated& in, const std::string& name, bool& swapped) {
  std::array<uint8_t, kHeaderBytes> bytes;
  const size_t got = in.read(bytes);
  in.expect(got == bytes.size(), ErrorKind::data, "expected a NIfTI-1 header of ", kHeaderBytes, " bytes, got ", got,
            "; the file is cut short, or something else");
  NiftiHeader h = header_of(bytes, name, swapped);
  in.expect_room_for(data_offset(h) + voxels_of(h) * bytes_per_voxel(h.type));
  return h;
}

// ---- voxels ----

// values = slope * stored + intercept, through double.
template <class T>
void convert(std::span<uint8_t> stored, bool swapped, const NiftiHeader& h, float* values) {
  const size_t n = stored.size() / sizeof(T);
  if (swapped) swap_bytes(stored.data(), n, sizeof(T));
  const bool scaled = h.slope != 1 || h.intercept != 0;
  for (size_t i = 0; i < n; ++i) {
    T v;
    std::memcpy(&v, stored.data() + i * sizeof(T), sizeof(T));
    const auto wide = static_cast<double>(v);
    values[i] = static_cast<float>(scaled ? h.slope * wide + h.intercept : wide);
  }
}

// Throws Error{data} naming the first of values [0, n) that is not a number; they begin at voxel `first`.
void expect_finite(const float* values, size_t n, uint64_t first, const NiftiHeader& h, const Inflated& in) {
  if (std::all_of(values, values + n, [](float v) { return std::isfinite(v); })) return;
  const auto bad = std::find_if(values, values + n, [](float v) { return !std::isfinite(v); });
  const auto i = static_cast<int64_t>(first) + (bad - values);
  in.expect(false, ErrorKind::data, "voxel (i, j, k) = (", i % h.size[2], ", ", i / h.size[2] % h.size[1], ", ",
            i / h.size[2] / h.size[1], "): expected a number that float holds, got ", *bad,
            "; replace such voxels first");
}

Volume read_volume(Inflated& in, const std::string& name, uint64_t most) {
  bool swapped = false;
  Volume volume{read_header(in, name, swapped), {}};
  const NiftiHeader& h = volume.header;
  const uint64_t voxels = voxels_of(h), each = bytes_per_voxel(h.type);
  in.expect(voxels <= most / sizeof(float), ErrorKind::data, "expected at most ", most, " bytes of memory, its ",
            h.size[2], " x ", h.size[1], " x ", h.size[0], " voxels need ", voxels * sizeof(float));
  constexpr uint64_t chunk = 1 << 14;
  Bytes buffer(chunk * sizeof(double));
  for (uint64_t left = data_offset(h) - kHeaderBytes; left > 0;) {
    const uint64_t n = std::min<uint64_t>(left, buffer.size());
    in.read_all(std::span(buffer).first(n), "header extensions");
    left -= n;
  }
  volume.voxels = Tensor::empty(Device::cpu, {h.size[0], h.size[1], h.size[2], 1});
  float* values = volume.voxels.data<float>();
  for (uint64_t done = 0; done < voxels; done += chunk) {
    const uint64_t n = std::min(chunk, voxels - done);
    const auto stored = std::span(buffer).first(n * each);
    in.read_all(stored, "voxels");
    with_voxel_type(h.type, [&](auto zero) { convert<decltype(zero)>(stored, swapped, h, values + done); });
    expect_finite(values + done, n, done, h, in);
  }
  in.finish();
  return volume;
}

Source source_of(InputFile& file) {
  return [&file](std::span<uint8_t> into) { return file.read(into); };
}

// ---- writing ----

// Bytes to a file, compressed or as they are.
class Output {
 public:
  explicit Output(const std::filesystem::path& path) {
    if (lower_extension(path) == ".gz")
      gzip_.emplace(path);
    else
      plain_.emplace(path);
  }
  void write(std::span<const uint8_t> bytes) { gzip_ ? gzip_->write(bytes) : plain_->write(bytes); }
  void commit() { gzip_ ? gzip_->commit() : plain_->commit(); }

 private:
  std::optional<GzipFile> gzip_;
  std::optional<OutputFile> plain_;
};

template <class T>
std::span<const uint8_t> raw(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

// A header extension: its length (a multiple of 16), the code of "comment", text, zeros.
Bytes label_extension(std::span<const std::string> names) {
  Json labels = Json::object();
  for (size_t i = 0; i < names.size(); ++i) labels[std::to_string(i)] = names[i];
  const std::string json = Json::object({{"labels", labels}}).dump();
  constexpr size_t prefix = 8, multiple = 16;
  constexpr int32_t comment = 6;
  const size_t length = (prefix + json.size() + multiple - 1) / multiple * multiple;
  const std::array<int32_t, 2> fields{static_cast<int32_t>(length), comment};
  Bytes bytes(length);
  std::memcpy(bytes.data(), fields.data(), prefix);
  std::memcpy(bytes.data() + prefix, json.data(), json.size());
  return bytes;
}

// T: the voxels' type, `code` NIfTI's for it.
template <class T>
void write(const std::filesystem::path& path, const TensorView& x, const NiftiHeader& like, int16_t code,
           std::span<const std::string> names) {
  const Shape expected{like.size[0], like.size[1], like.size[2], 1};
  check(x.dtype() == dtype_of<T> && x.shape() == expected, ErrorKind::usage, "[write_nifti] voxels: expected ",
        dtype_of<T>, ' ', expected, ", got ", x.dtype(), ' ', x.shape());
  const Bytes extension = names.empty() ? Bytes{} : label_extension(names);
  auto f = std::bit_cast<Fields>(like.bytes);
  f.datatype = code;
  f.bitpix = static_cast<int16_t>(8 * sizeof(T));
  f.vox_offset = static_cast<float>(kDataOffset + extension.size());
  f.scl_slope = 1;
  f.scl_inter = f.cal_max = f.cal_min = 0;
  std::copy_n(kMagic, 4, f.magic);
  const uint8_t extended[4] = {static_cast<uint8_t>(!extension.empty())};

  Output file(path);
  file.write(raw(f));
  file.write(raw(extended));
  file.write(extension);
  std::vector<T> buffer(size_t{1} << 16);
  for (int64_t done = 0; done < x.rows(); done += static_cast<int64_t>(buffer.size())) {
    const auto n = std::min(buffer.size(), static_cast<size_t>(x.rows() - done));
    const T* from = x.data<T>() + done * x.row_stride();
    for (size_t i = 0; i < n; ++i) buffer[i] = from[static_cast<int64_t>(i) * x.row_stride()];
    file.write({reinterpret_cast<const uint8_t*>(buffer.data()), n * sizeof(T)});
  }
  file.commit();
}

}  // namespace

NiftiHeader read_nifti_header(const std::filesystem::path& path) {
  InputFile file(path);
  Inflated in(source_of(file), file.size(), path.string());
  bool swapped = false;
  return read_header(in, path.string(), swapped);
}

Volume read_nifti(const std::filesystem::path& path, uint64_t most) {
  InputFile file(path);
  Inflated in(source_of(file), file.size(), path.string());
  return read_volume(in, path.string(), most);
}

Volume decode_nifti(std::span<const uint8_t> bytes, const std::string& name, uint64_t most) {
  const auto source = [left = bytes](std::span<uint8_t> into) mutable {
    const size_t n = std::min(into.size(), left.size());
    std::copy_n(left.begin(), n, into.begin());
    left = left.subspan(n);
    return n;
  };
  Inflated in(source, bytes.size(), name);
  return read_volume(in, name, most);
}

void write_nifti_labels(const std::filesystem::path& path, const TensorView& labels, const NiftiHeader& like,
                        std::span<const std::string> names) {
  write<uint8_t>(path, labels, like, kU8, names);
}

void write_nifti(const std::filesystem::path& path, const TensorView& values, const NiftiHeader& like) {
  write<float>(path, values, like, kF32, {});
}

NiftiHeader make_nifti_header(const Size3& size, const Affine& affine) {
  for (const int64_t extent : size)
    check(extent > 0 && extent <= INT16_MAX, ErrorKind::usage, "[make_nifti_header] size: expected 1 to ", INT16_MAX,
          ", got ", size[0], " x ", size[1], " x ", size[2]);
  check(!is_singular(affine), ErrorKind::usage, "[make_nifti_header] affine: expected three independent axes");
  constexpr int16_t scanner = 1;
  Fields f{};
  f.sizeof_hdr = kHeaderBytes;
  f.regular = 'r';
  std::fill_n(f.dim, 8, int16_t{1});
  f.dim[0] = 3;
  f.pixdim[0] = 1;
  const auto spacing = spacing_of(affine);
  for (size_t i = 0; i < 3; ++i) {
    f.dim[i + 1] = static_cast<int16_t>(size[2 - i]);
    f.pixdim[i + 1] = static_cast<float>(spacing[2 - i]);
    for (size_t j = 0; j < 4; ++j) f.srow[i][j] = static_cast<float>(affine[i][j]);
  }
  f.datatype = kF32;
  f.bitpix = 32;
  f.vox_offset = kDataOffset;
  f.scl_slope = 1;
  f.xyzt_units = 2;  // mm
  f.sform_code = scanner;
  std::copy_n(kMagic, 4, f.magic);
  bool swapped = false;
  return header_of(std::bit_cast<std::array<uint8_t, kHeaderBytes>>(f), "make_nifti_header", swapped);
}

}  // namespace lgms::io
