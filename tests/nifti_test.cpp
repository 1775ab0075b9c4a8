#include "core/formats/nifti.h"

#include <cmath>
#include <fstream>
#include <limits>

#include "core/context.h"
#include "core/io/bytes.h"
#include "support/folder.h"
#include "support/hostile.h"
#include "support/nifti.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

namespace {

using Strings = std::vector<std::string>;

const Size3 size{2, 3, 4};

Volume decoded(std::span<const uint8_t> bytes) { return decode_nifti(bytes, "file"); }

std::vector<float> values(const Volume& v) {
  const auto s = v.voxels.span<float>();
  return {s.begin(), s.end()};
}

std::string refusal(std::span<const uint8_t> bytes, ErrorKind kind = ErrorKind::data, uint64_t most = 1 << 20) {
  try {
    decode_nifti(bytes, "file", most);
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    CHECK(std::string(e.what()).starts_with("[file] "));
    return e.what();
  }
  return "accepted";
}

void check_refused(std::span<const uint8_t> bytes, const std::string& why, ErrorKind kind = ErrorKind::data) {
  const std::string message = refusal(bytes, kind);
  CAPTURE(message);
  CHECK(message.find(why) != std::string::npos);
}

NiftiBytes counting() {
  std::vector<uint8_t> voxels(24);
  for (size_t i = 0; i < 24; ++i) voxels[i] = static_cast<uint8_t>(i);
  return nifti_of<uint8_t>(2, size, voxels);
}

template <class T>
NiftiBytes with(NiftiBytes file, size_t offset, T value) {
  put_at(file, offset, value);
  return file;
}

template <class T>
void check_type(int16_t code) {
  CAPTURE(code);
  using Limits = std::numeric_limits<T>;
  std::vector<T> stored(24);
  for (size_t i = 0; i < 24; ++i) stored[i] = static_cast<T>(3 * i);
  stored[1] = static_cast<T>(Limits::is_integer ? Limits::lowest() : static_cast<T>(-1.25));
  stored[2] = static_cast<T>(Limits::is_integer ? Limits::max() : static_cast<T>(3.5e37));
  stored[3] = static_cast<T>(-1);
  std::vector<float> plain, scaled;
  const float slope = 0.25f, intercept = -7.5f;
  for (const T v : stored) {
    plain.push_back(static_cast<float>(static_cast<double>(v)));
    scaled.push_back(static_cast<float>(double{slope} * static_cast<double>(v) + double{intercept}));
  }
  const NiftiBytes file = nifti_of(code, size, stored);
  const NiftiBytes with_slope = with(with(file, kSlope, slope), kInter, intercept);
  for (const bool swapped : {false, true}) {
    CAPTURE(swapped);
    const auto order = [&](const NiftiBytes& b) { return swapped ? byte_swapped(b, sizeof(T)) : b; };
    for (const NiftiBytes& bytes : {order(file), gzipped(order(file))}) {
      const Volume v = decoded(bytes);
      CHECK(v.voxels.shape() == Shape{2, 3, 4, 1});
      CHECK(values(v) == plain);
      CHECK(v.header.type == code);
      CHECK(v.header.size == size);
      CHECK(std::memcmp(v.header.bytes.data(), file.data(), 348) == 0);  // in this machine's order
      CHECK(spacing_of(v.header.affine) == std::array<double, 3>{2, 1.5, 1});
    }
    CHECK(values(decoded(order(with_slope))) == scaled);
  }
}

}  // namespace

TEST_CASE("nifti: every integer and float type, in both byte orders, plain and compressed, scaled and not") {
  check_type<uint8_t>(2);
  check_type<int16_t>(4);
  check_type<int32_t>(8);
  check_type<float>(16);
  check_type<double>(64);
  check_type<int8_t>(256);
  check_type<uint16_t>(512);
  check_type<uint32_t>(768);
  check_type<int64_t>(1024);
  check_type<uint64_t>(1280);
}

TEST_CASE("nifti: a slope of 0, infinite or not a number means no scaling; -0 keeps its sign without one") {
  const float infinite = std::numeric_limits<float>::infinity();
  const auto plain = values(decoded(counting()));
  for (const float slope : {0.0f, infinite, -infinite, std::nanf("")}) {
    const Volume v = decoded(with(with(counting(), kSlope, slope), kInter, 5.0f));
    CHECK(v.header.slope == 1);
    CHECK(v.header.intercept == 0);
    CHECK(values(v) == plain);
  }
  check_refused(with(with(counting(), kSlope, 2.0f), kInter, infinite), "scl_inter: expected a number, got inf");
  CHECK(std::signbit(values(decoded(nifti_of<float>(16, {1, 1, 1}, {-0.0f})))[0]));
}

TEST_CASE("nifti: the affine is the sform's, else the qform's, else the spacings") {
  NiftiBytes file = counting();
  const float srow[3][4] = {{0, 0, 3, 10}, {-2, 0.5f, 0, 20}, {0, 4, 0, 30}};  // not orthogonal: kept as it is
  put_at(file, kSrow, srow);
  const float quatern[3] = {0, 0, std::sqrt(0.5f)}, qoffset[3] = {-1, -2, -3};  // a quarter turn about z
  put_at(file, kQuatern, quatern);
  put_at(file, kQoffset, qoffset);
  CHECK(decoded(file).header.affine == Affine{{{1, 0, 0, 0}, {0, 1.5, 0, 0}, {0, 0, 2, 0}}});

  put_at(file, kQformCode, int16_t{1});
  const auto near = [&](const Affine& want) {
    const Affine got = decoded(file).header.affine;
    double worst = 0;
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 4; ++j) worst = std::max(worst, std::abs(got[i][j] - want[i][j]));
    return worst;
  };
  CHECK(near({{{0, -1.5, 0, -1}, {1, 0, 0, -2}, {0, 0, 2, -3}}}) < 1e-6);
  for (const float qfac : {0.0f, 1.0f, 7.0f}) {
    put_at(file, kPixdim, qfac);
    CHECK(near({{{0, -1.5, 0, -1}, {1, 0, 0, -2}, {0, 0, 2, -3}}}) < 1e-6);
  }
  put_at(file, kPixdim, -1.0f);
  CHECK(near({{{0, -1.5, 0, -1}, {1, 0, 0, -2}, {0, 0, -2, -3}}}) < 1e-6);
  put_at(file, kPixdim + 4, -1.0f);  // a negative spacing is a spacing
  CHECK(near({{{0, -1.5, 0, -1}, {1, 0, 0, -2}, {0, 0, -2, -3}}}) < 1e-6);
  put_at(file, kQuatern, std::array<float, 3>{0, std::sqrt(0.5f), std::sqrt(0.5f)});  // a half turn between y and z
  CHECK(near({{{-1, 0, 0, -1}, {0, 0, -2, -2}, {0, 1.5, 0, -3}}}) < 1e-6);
  put_at(file, kQuatern, std::array<float, 3>{1, 0, 0});
  put_at(file, kQuatern + 8, 1e-4f);  // rounded to a little more than a unit: a half turn about x
  CHECK(near({{{1, 0, 0, -1}, {0, -1.5, 0, -2}, {0, 0, 2, -3}}}) < 1e-3);

  put_at(file, kSformCode, int16_t{4});
  CHECK(decoded(file).header.affine == Affine{{{0, 0, 3, 10}, {-2, 0.5, 0, 20}, {0, 4, 0, 30}}});
  put_at(file, kSformCode, int16_t{-1});
  put_at(file, kQformCode, int16_t{-1});
  CHECK(decoded(file).header.affine == Affine{{{1, 0, 0, 0}, {0, 1.5, 0, 0}, {0, 0, 2, 0}}});
}

TEST_CASE("nifti: affines that are no frame of space are refused") {
  const float nan = std::nanf("");
  NiftiBytes sform = with(counting(), kSformCode, int16_t{1});
  for (const float x : {1.0f, nan}) put_at(sform, kSrow, std::array<float, 12>{x, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0});
  check_refused(with(with(counting(), kSformCode, int16_t{1}), kSrow, std::array<float, 12>{}),
                "sform: expected three");
  check_refused(with(with(counting(), kSformCode, int16_t{1}), kSrow + 12, nan), "sform: expected three");
  check_refused(sform, "sform: expected three independent axes; correct it, or set sform_code to 0");
  const NiftiBytes qform = with(counting(), kQformCode, int16_t{1});
  check_refused(with(qform, kQuatern, 1.1f), "qform: expected a unit quaternion");
  check_refused(with(qform, kQuatern, nan), "qform: expected a unit quaternion");
  check_refused(with(qform, kQoffset, nan), "qform: expected finite numbers");
  for (const float spacing : {0.0f, nan, std::numeric_limits<float>::infinity()})
    for (const NiftiBytes& file : {qform, counting()})
      check_refused(with(file, kPixdim + 12, spacing), "pixdim[3]: expected mm above 0");
}

TEST_CASE("nifti: an sform that is no frame of space is passed over for a good qform, with a note") {
  std::vector<std::string> notes;
  Context context({.log = [&notes](std::string_view line) { notes.emplace_back(line); }});
  const Context::Scope scope(context);
  const NiftiBytes both = with(with(counting(), kQformCode, int16_t{1}), kSformCode, int16_t{1});
  std::array<float, 12> flat{}, endless{};
  flat[0] = flat[4] = flat[9] = 1;
  endless[0] = endless[5] = endless[10] = 1;
  endless[3] = std::numeric_limits<float>::infinity();
  for (const auto& srow : {std::array<float, 12>{}, flat, endless}) {
    notes.clear();
    CHECK(decoded(with(both, kSrow, srow)).header.affine == Affine{{{1, 0, 0, 0}, {0, 1.5, 0, 0}, {0, 0, 2, 0}}});
    CHECK(notes ==
          std::vector<std::string>{"[file] sform: expected three independent axes, got none; its qform was taken"});
    check_refused(with(with(both, kSrow, srow), kQformCode, int16_t{0}), "sform: expected three independent axes");
    check_refused(with(with(both, kSrow, srow), kQuatern, 2.0f), "sform: expected three independent axes; its qform");
    check_refused(with(with(both, kSrow, srow), kPixdim + 4, 0.0f),
                  "its qform cannot be used either: [file] pixdim[1]");
  }
  notes.clear();
  const std::array<float, 12> good{0, 0, 3, 1, 2, 0, 0, 2, 0, 1, 0, 3};
  CHECK(decoded(with(with(both, kSrow, good), kQuatern, 2.0f)).header.affine ==
        Affine{{{0, 0, 3, 1}, {2, 0, 0, 2}, {0, 1, 0, 3}}});
  CHECK(notes.empty());
}

TEST_CASE("nifti: more dimensions are fine where they are 1") {
  for (int16_t rank = 3; rank <= 7; ++rank) CHECK(refusal(with(counting(), kDim, rank)) == "accepted");
  NiftiBytes file = with(counting(), kDim, std::array<int16_t, 8>{3, 4, 3, 2, 0, -1, 0, 99});  // beyond the rank
  CHECK(refusal(file) == "accepted");
  for (int16_t rank = 4; rank <= 7; ++rank) {
    file = with(with(counting(), kDim, rank), kDim + 2 * static_cast<size_t>(rank), int16_t{2});
    check_refused(file, "expected one volume of one channel, got 2 of them");
  }
  for (const int16_t rank : {-1, 0, 1, 2, 8, 255}) check_refused(with(counting(), kDim, rank), "dim[0]: expected 3");
  for (size_t axis = 1; axis <= 4; ++axis)
    for (const int16_t extent : {0, -1, -32768})
      check_refused(with(with(counting(), kDim, int16_t{4}), kDim + 2 * axis, extent), "expected 1 or more");
}

TEST_CASE("nifti: what is not a NIfTI-1 volume in one file is refused by its name") {
  check_refused({}, "expected a NIfTI-1 header of 348 bytes, got 0");
  check_refused(NiftiBytes(400, 'x'), "expected a NIfTI-1 file (.nii or .nii.gz), got something else");
  check_refused(with(counting(), kSizeofHdr, 540), "got NIfTI-2");
  check_refused(byte_swapped(with(counting(), kSizeofHdr, 540), 1), "got NIfTI-2");
  check_refused(with(counting(), kMagic, std::array<char, 4>{'n', 'i', '1', 0}), ".hdr/.img pair");
  check_refused(with(counting(), kMagic, 0), "ANALYZE 7.5");
  for (const int16_t code : {0, 1, 32, 128, 1536, 1792, 2048, 2304, -2})
    check_refused(with(counting(), kType, code), text("got code ", code));
}

TEST_CASE("nifti: header extensions are skipped, offsets that lie are refused") {
  NiftiBytes file = with(counting(), kVoxOffset, 384.0f);
  file[348] = 1;
  file.insert(file.begin() + 352, 32, 0xee);
  CHECK(values(decoded(file)) == values(decoded(counting())));
  CHECK(values(decoded(gzipped(file))) == values(decoded(counting())));
  for (const float offset : {0.0f, -352.0f, 348.0f, 351.0f, 352.5f, 1e30f, std::nanf("")})
    for (const bool compressed : {false, true}) {
      const NiftiBytes lying = with(counting(), kVoxOffset, offset);
      check_refused(compressed ? gzipped(lying) : lying, "vox_offset: expected 352 or more");
    }
  check_refused(with(counting(), kVoxOffset, 353.0f), "expected the 377 bytes that the header claims, got 376");
  check_refused(gzipped(with(counting(), kVoxOffset, 353.0f)), "voxels: expected 24 more bytes, got 23");
  check_refused(gzipped(with(counting(), kVoxOffset, 400.0f)), "header extensions: expected");
}

TEST_CASE("nifti: a file cut at any byte is refused") {
  NiftiBytes noise = counting();
  for (size_t i = 352; i < noise.size(); ++i) noise[i] = static_cast<uint8_t>(i * i * 7919 >> 4);
  for (const NiftiBytes& file : {noise, gzipped(noise)}) {
    CHECK(refusal(file) == "accepted");
    CHECK(accepted(truncations(file), decoded) == 0);
  }
}

TEST_CASE("nifti: what stands behind the last voxel or behind gzip's data is ignored, with a note") {
  std::vector<std::string> notes;
  Context context({.log = [&notes](std::string_view line) { notes.emplace_back(line); }});
  const Context::Scope scope(context);
  const auto notes_of = [&notes](const NiftiBytes& file) {
    notes.clear();
    CHECK(values(decoded(file)) == values(decoded(counting())));
    return notes;
  };
  using Notes = std::vector<std::string>;
  const auto with_end = [](NiftiBytes file, const NiftiBytes& end) {
    file.insert(file.end(), end.begin(), end.end());
    return file;
  };
  const NiftiBytes file = counting(), zip = gzipped(file), zeros(512), noise{7, 0, 0x1f, 0x8b, 1};
  CHECK(notes_of(file).empty());
  CHECK(notes_of(zip).empty());
  CHECK(notes_of(with_end(file, noise)) == Notes{"[file] 5 bytes behind the last voxel were ignored"});
  CHECK(notes_of(gzipped(with_end(file, noise))) == Notes{"[file] 5 bytes behind the last voxel were ignored"});
  const NiftiBytes many(3 << 20, 1);  // more than is read or inflated at once
  CHECK(notes_of(with_end(file, many)) == Notes{"[file] 3145728 bytes behind the last voxel were ignored"});
  CHECK(notes_of(gzipped(with_end(file, many))) == Notes{"[file] 3145728 bytes behind the last voxel were ignored"});
  for (const NiftiBytes& end : {NiftiBytes{0}, zeros, noise, NiftiBytes{0x1f}, NiftiBytes{0, 0x1f}, many})
    CHECK(notes_of(with_end(zip, end)) ==
          Notes{text("[file] ", end.size(), " bytes behind the end of the compressed data were ignored")});
  CHECK(notes_of(with_end(gzipped(with_end(file, noise)), zeros)).size() == 2);

  // Zeros between members are padding too: Python's gzip passes over them.
  const NiftiBytes halves =
      with_end(with_end(gzipped(std::span(file).first(360)), zeros), gzipped(std::span(file).subspan(360)));
  CHECK(notes_of(halves).empty());
  CHECK(notes_of(with_end(zip, gzipped(NiftiBytes(3)))) == Notes{"[file] 3 bytes behind the last voxel were ignored"});

  // The marks of a member must be followed by one.
  check_refused(with_end(zip, {0x1f, 0x8b}), "its compressed data end early");
  check_refused(with_end(zip, {0x1f, 0x8b, 1, 1, 1}), "cannot be inflated");
  NiftiBytes damaged = gzipped(with_end(file, noise));
  damaged[damaged.size() - 5] ^= 1;
  check_refused(damaged, "incorrect data check");
  check_refused(with_end(gzipped(std::span(file).first(370)), zeros), "voxels: expected 24 more bytes, got 18");
}

TEST_CASE("nifti: compressed data behind the voxels are inflated so far and no further") {
  const NiftiBytes member = gzipped(NiftiBytes(size_t{1} << 24));
  NiftiBytes bomb = gzipped(counting());
  for (int i = 0; i < 16; ++i) bomb.insert(bomb.end(), member.begin(), member.end());
  CHECK(refusal(bomb) == "accepted");
  bomb.insert(bomb.end(), member.begin(), member.end());
  check_refused(bomb, "expected its compressed data to end behind the last voxel, got more than 268435456");
}

TEST_CASE("nifti: compressed files of several members are read; wrong checksums and lengths are refused") {
  const NiftiBytes file = counting();
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{348}, size_t{360}, file.size()}) {
    NiftiBytes members = gzipped(std::span(file).first(cut));
    const NiftiBytes second = gzipped(std::span(file).subspan(cut));
    members.insert(members.end(), second.begin(), second.end());
    CHECK(values(decoded(members)) == values(decoded(file)));
    CHECK(accepted(truncations(members), decoded) ==
          (cut == file.size() ? 2 : 0));  // an empty member, less or more than its first byte
  }
  const NiftiBytes compressed = gzipped(file);
  for (size_t i = 1; i <= 8; ++i) {  // the last eight bytes: CRC and length
    NiftiBytes damaged = compressed;
    damaged[damaged.size() - i] ^= 1;
    check_refused(damaged, i > 4 ? "incorrect data check" : "incorrect length check");
  }
}

TEST_CASE("nifti: no flipped bit of a compressed file passes for other voxels; damaged headers are read or refused") {
  const NiftiBytes file = counting(), compressed = gzipped(file);
  const auto want = values(decoded(file));
  accepted(bit_flips(compressed), [&](std::span<const uint8_t> damaged) {
    const auto got = values(decoded(damaged));
    CHECK(got == want);  // gzip's name, time and system may change
  });
  const auto read = [](std::span<const uint8_t> b) { decode_nifti(b, "file", 1 << 20); };
  const NiftiBytes header(file.begin(), file.begin() + 348);
  accepted(bit_flips(file), read);
  for (NiftiBytes damaged : overwritten(header, 20000, 1)) {
    damaged.insert(damaged.end(), file.begin() + 348, file.end());
    refusal(damaged, ErrorKind::data);
    refusal(gzipped(damaged), ErrorKind::data);
  }
  for (const NiftiBytes& damaged : overwritten(compressed, 5000, 2)) refusal(damaged);
}

TEST_CASE("nifti: sizes that the file cannot hold are refused before memory is taken") {
  const std::array<int16_t, 8> huge{7, 32767, 32767, 32767, 1, 1, 1, 1}, large{3, 512, 512, 4, 1, 1, 1, 1};
  for (const int16_t code : {2, 64}) {
    const NiftiBytes file = with(with(counting(), kType, code), kDim, huge);
    check_refused(file, "bytes that the header claims, got 376; the file is cut short");
    check_refused(gzipped(file), "expected at most 1032 times the file's");
  }
  check_refused(gzipped(with(counting(), kDim, large)), "expected at most 1032 times the file's");
  NiftiBytes zeros = with(counting(), kDim, large);  // a claim that can be true and is not
  zeros.resize(500000);
  check_refused(gzipped(zeros), "expected at most 1032 times");
  zeros = gzipped(with(counting(), kDim, std::array<int16_t, 8>{3, 100, 100, 10, 1, 1, 1, 1}));
  check_refused(zeros, "voxels: expected");

  // 4 bytes of memory for each of 24 voxels.
  CHECK(refusal(counting(), ErrorKind::data, 96) == "accepted");
  CHECK(refusal(counting(), ErrorKind::data, 95) ==
        "[file] expected at most 95 bytes of memory, its 4 x 3 x 2 voxels need 96");
  CHECK(refusal(gzipped(counting()), ErrorKind::data, 95) != "accepted");
}

TEST_CASE("nifti: what is not a number is refused, and named by its place") {
  std::vector<float> voxels(24, 1);
  voxels[17] = std::nanf("");
  voxels[20] = std::numeric_limits<float>::infinity();
  check_refused(nifti_of(16, size, voxels), "voxel (i, j, k) = (1, 1, 1): expected a number that float holds, got nan");
  voxels[17] = 0;
  check_refused(nifti_of(16, size, voxels), "voxel (i, j, k) = (0, 2, 1): expected a number that float holds, got inf");
  check_refused(nifti_of<double>(64, {1, 1, 2}, {1, 1e39}), "voxel (i, j, k) = (1, 0, 0)");
  check_refused(with(nifti_of<float>(16, {1, 1, 1}, {3e38f}), kSlope, 10.0f), "voxel (i, j, k) = (0, 0, 0)");
  std::vector<float> many(100000, 1);
  many[99999] = std::nanf("");
  check_refused(nifti_of(16, {10, 100, 100}, many), "voxel (i, j, k) = (99, 99, 9)");
}

TEST_CASE("nifti: a mask keeps every bit of the header that does not describe its voxels") {
  const Folder folder;
  NiftiBytes file = nifti_of<int16_t>(4, size, std::vector<int16_t>(24, 7));
  for (size_t i = 0; i < 80; ++i) file[kDescrip + i] = static_cast<uint8_t>(i + 1);
  put_at(file, kDim, std::array<int16_t, 8>{4, 4, 3, 2, 1, 9, -8, 7});
  put_at(file, kPixdim, std::array<float, 8>{-1, 0.7f, 0.8f, 0.9f, 2.5f, std::nanf("1"), 6, 7});
  put_at(file, kIntent, int16_t{1002});
  put_at(file, kQformCode, int16_t{1});
  put_at(file, kSformCode, int16_t{2});
  put_at(file, kSrow, std::array<float, 12>{0.1f, 0.7f, 0, -3, 0.8f, 0, 0, 5, 0, 0, -0.9f, 6});
  put_at(file, kSlope, 2.0f);
  put_at(file, kInter, 3.0f);
  put_at(file, kCalMax, 100.0f);
  put_at(file, kCalMin, 50.0f);
  file[kUnits] = 2 | 8;
  NiftiBytes want(file.begin(), file.begin() + 348);
  put_at(want, kType, int16_t{2});
  put_at(want, kBitpix, int16_t{8});
  put_at(want, kSlope, 1.0f);
  for (const size_t field : {kInter, kCalMax, kCalMin}) put_at(want, field, 0.0f);

  const Tensor labels = Tensor::empty({2, 3, 4, 1}, DType::u8);
  for (int64_t i = 0; i < 24; ++i) labels.data<uint8_t>()[i] = static_cast<uint8_t>(i * 11);
  for (const bool swapped : {false, true})
    for (const char* name : {"mask.nii", "mask.nii.gz"}) {
      const Volume image = decoded(swapped ? byte_swapped(file, 2) : file);
      write_nifti_labels(folder / name, labels, image.header);
      const Volume mask = read_nifti(folder / name);
      CHECK(max_difference(mask.voxels.to(DType::u8), labels) == 0);
      CHECK(mask.header.affine == image.header.affine);
      CHECK(mask.header.size == image.header.size);
      CHECK(std::memcmp(mask.header.bytes.data(), want.data(), 348) == 0);
    }
  CHECK(read_file(folder / "mask.nii").size() == 376);
  const Bytes first = read_file(folder / "mask.nii.gz");
  CHECK(std::vector<uint8_t>(first.begin(), first.begin() + 8) == Bytes{0x1f, 0x8b, 8, 0, 0, 0, 0, 0});  // no time
  write_nifti_labels(folder / "again.nii.gz", labels, decoded(file).header);
  CHECK(read_file(folder / "again.nii.gz") == first);
}

TEST_CASE("nifti: names of labels travel in a header extension") {
  const Folder folder;
  const Tensor labels = Tensor::zeros({2, 3, 4, 1}, DType::u8);
  const NiftiHeader like = decoded(counting()).header;
  const std::vector<std::string> names{"background", "left \"a\"", "\u00e9"};
  for (const char* name : {"x.nii", "x.nii.gz"}) {
    write_nifti_labels(folder / name, labels, like, names);
    CHECK(values(read_nifti(folder / name)) == std::vector<float>(24));
  }
  const Bytes file = read_file(folder / "x.nii");
  const std::string json = R"({"labels":{"0":"background","1":"left \"a\"","2":"é"}})";
  CHECK(file[348] == 1);
  const auto length = get_at<int32_t>(file, 352);
  CHECK(length % 16 == 0);
  CHECK(get_at<int32_t>(file, 356) == 6);
  CHECK(get_at<float>(file, kVoxOffset) == static_cast<float>(352 + length));
  CHECK(file.size() == static_cast<size_t>(352 + length + 24));
  CHECK(std::string(file.begin() + 360, file.begin() + 352 + length).substr(0, json.size()) == json);
  const std::vector<std::string> invalid{"\xff"};
  write_nifti_labels(folder / "y.nii", labels, like, invalid);
  const Bytes replaced = read_file(folder / "y.nii");
  CHECK(std::string(replaced.begin() + 360, replaced.end()).starts_with("{\"labels\":{\"0\":\"\xEF\xBF\xBD\"}}"));
}

TEST_CASE("nifti: floats are written and read back bit for bit, from strided rows too") {
  const Folder folder;
  const Size3 larger{7, 65, 181};  // more than one buffer
  const Affine affine{{{-0.5, 0, 0.25, 10}, {0, 0.75, 0, -20}, {0.125, 0, 2, 30}}};
  const NiftiHeader header = make_nifti_header(larger, affine);
  CHECK(header.affine == affine);
  CHECK(spacing_of(header.affine)[1] == 0.75);
  const Tensor x = randn({7, 65, 181, 3}, 1, DType::f32);
  for (const char* name : {"x.nii", "x.nii.gz"}) {
    write_nifti(folder / name, x.slice(1, 1), header);
    const Volume read = read_nifti(folder / name);
    CHECK(max_difference(read.voxels, x.slice(1, 1)) == 0);
    CHECK(read.header.bytes == header.bytes);
    const NiftiHeader alone = read_nifti_header(folder / name);
    CHECK(alone.bytes == header.bytes);
    CHECK(alone.size == larger);
    CHECK(alone.affine == affine);
  }
}

TEST_CASE("nifti: arguments that do not fit are refused, and nothing is left behind") {
  const Folder folder;
  const NiftiHeader like = decoded(counting()).header;
  CHECK(error_of([&] {
          write_nifti_labels(folder / "x.nii", Tensor::zeros({2, 3, 5, 1}, DType::u8), like);
        }) == "[write_nifti] voxels: expected u8 [2, 3, 4, 1], got u8 [2, 3, 5, 1]");
  CHECK(error_of([&] { write_nifti_labels(folder / "x.nii", Tensor::zeros({2, 3, 4, 1}), like); }) != "");
  CHECK(error_of([&] { write_nifti(folder / "x.nii", Tensor::zeros({2, 3, 4, 1}, DType::u8), like); }) != "");
  CHECK(error_of([&] { write_nifti(folder / "none/x.nii.gz", Tensor::zeros({2, 3, 4, 1}), like); }) != "");
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(error_of([&] { make_nifti_header({0, 1, 1}, kIdentityAffine); }) != "");
  CHECK(error_of([&] { make_nifti_header({1, 32768, 1}, kIdentityAffine); }) != "");
  CHECK(error_of([&] { make_nifti_header({1, 1, 1}, {}); }) != "");
}

TEST_CASE("nifti: files are read from the disk as from memory, errors name them") {
  const Folder folder;
  const NiftiBytes plain = counting(), compressed = gzipped(plain);
  const auto put = [&](const char* name, std::span<const uint8_t> bytes) {
    std::ofstream(folder / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  };
  put("compressed.nii", compressed);  // told by the contents, not the name
  put("plain.nii.gz", plain);
  put("cut.nii", std::span(plain).first(370));
  for (const char* name : {"compressed.nii", "plain.nii.gz"}) {
    CHECK(values(read_nifti(folder / name)) == values(decoded(plain)));
    CHECK(read_nifti_header(folder / name).size == size);
  }
  CHECK(error_of([&] { read_nifti(folder / "none.nii"); }).find("none.nii] expected a readable file") !=
        std::string::npos);
  CHECK(error_of([&] { read_nifti(folder.path()); }).find("got a folder") != std::string::npos);
  for (const auto& message :
       {error_of([&] { read_nifti(folder / "cut.nii"); }), error_of([&] { read_nifti_header(folder / "cut.nii"); })})
    CHECK(message.find("cut.nii] expected the 376 bytes that the header claims, got 370") != std::string::npos);
}

TEST_CASE("nifti: stems") {
  CHECK(nifti_stem("a/b/case.nii.gz") == "case");
  CHECK(nifti_stem("case_1.2.nii") == "case_1.2");
  CHECK(nifti_stem("a.b/case") == "case");
  CHECK(is_nifti_name("x/a.nii"));
  CHECK(is_nifti_name("a.nii.gz"));
  CHECK(!is_nifti_name("a.gz"));
  CHECK(!is_nifti_name("nii"));
  CHECK(!is_nifti_name("x.nii/labels.json"));
  for (const char* name : {"a/C.NII.GZ", "C.Nii.gz", "C.nii.GZ", "C.NII", "C.nIi"}) {
    CHECK(is_nifti_name(name));
    CHECK(nifti_stem(name) == "C");
  }
  CHECK(nifti_stem("c.NII.nii.gz") == "c.NII");
  CHECK(nifti_stem("c.gz") == "c.gz");
  CHECK(!is_nifti_name(".nii.gz"));
}

TEST_CASE("nifti: volumes are found by their stems, in upper and lower case, and two of one stem are refused") {
  const Folder folder;
  const auto touch = [&](const char* name) {
    std::filesystem::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << 'x';
  };
  for (const char* name : {"in/a.nii.gz", "in/B.NII.GZ", "in/c, d.Nii", "in/e.nii.gz", "in/e.NII.gz", "in/f.nii",
                           "in/f.nii.gz", "in/sub/g.NII", "h.nii", "in/i.gz", "in/.j.nii"})
    touch(name);
  std::filesystem::create_directory(folder / "in/k.nii");
  std::filesystem::create_symlink("nowhere", folder / "in/l.nii");
  std::filesystem::create_symlink("m.nii", folder / "in/m.nii");
  NiftiFolders folders;
  const auto found = [&](const std::string& stem) { return folders.find(folder / "in", stem); };
  CHECK(found("a") == folder / "in/a.nii.gz");
  CHECK(found("B") == folder / "in/B.NII.GZ");
  CHECK(found("c, d") == folder / "in/c, d.Nii");
  CHECK(found("sub/g") == folder / "in/sub/g.NII");
  CHECK(found("../h") == folder / "in/../h.nii");
  CHECK(found((folder / "h").string()) == folder / "h.nii");
  CHECK(found(".j") == folder / "in/.j.nii");
  CHECK(found("m") == folder / "in/m.nii");  // a loop of links: whoever reads it says so
  for (const std::string& stem : Strings{"b", "i", "k", "l", "", "sub/", "no/such", std::string(5000, 'x')})
    CHECK(found(stem).empty());
  CHECK(folders.find(folder / "none", "a").empty());
  for (const auto& [stem, first, second] :
       std::vector<std::array<std::string, 3>>{{"e", "e.NII.gz", "e.nii.gz"}, {"f", "f.nii", "f.nii.gz"}}) {
    const std::string message = error_of([&, s = stem] { found(s); });
    CHECK(message.find("in/" + first + "] expected one volume called \"" + stem + "\", got another, ") !=
          std::string::npos);
    CHECK(message.find("in/" + second + ";") != std::string::npos);
  }
}

TEST_CASE("nifti: the name decides in upper and lower case whether a file is compressed") {
  const Folder folder;
  const Tensor labels = Tensor::zeros({2, 3, 4, 1}, DType::u8);
  for (const char* name : {"x.nii.gz", "x.NII.GZ", "x.nii.Gz"}) {
    write_nifti_labels(folder / name, labels, decoded(counting()).header);
    CHECK(read_file(folder / name)[0] == 0x1f);
  }
  write_nifti_labels(folder / "x.NII", labels, decoded(counting()).header);
  CHECK(read_file(folder / "x.NII").size() == 376);
}

TEST_CASE("nifti: real volumes are read, and written back voxel by voxel") {
  const std::filesystem::path data = shared("data/hippocampus_msd");
  if (!std::filesystem::exists(data)) {
    MESSAGE("skipped: no volumes in " << data.string());
    return;
  }
  const Folder folder;
  int count = 0;
  for (const char* kind : {"imagesTr", "labelsTr"})
    for (const auto& entry : std::filesystem::directory_iterator(data / kind)) {
      if (!is_nifti_name(entry.path()) || ++count % 20 != 0) continue;
      const Volume v = read_nifti(entry.path());
      write_nifti(folder / "x.nii.gz", v.voxels, v.header);
      CHECK(values(read_nifti(folder / "x.nii.gz")) == values(v));
      CHECK(read_nifti_header(folder / "x.nii.gz").affine == v.header.affine);
    }
  CHECK(count > 0);
}
