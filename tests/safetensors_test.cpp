#include "core/io/safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "core/io/bytes.h"
#include "core/io/crc32.h"
#include "support/folder.h"
#include "support/hostile.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

namespace {

Bytes file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  Bytes bytes(8 + header.size() + data_bytes);
  std::memcpy(bytes.data(), &length, 8);
  std::copy(header.begin(), header.end(), bytes.begin() + 8);
  for (size_t i = 0; i < data_bytes; ++i) bytes[8 + header.size() + i] = static_cast<uint8_t>(i + 1);
  return bytes;
}

// The message that reading `header` followed by `data_bytes` bytes ends with.
std::string refusal(const std::string& header, size_t data_bytes) {
  try {
    read_safetensors(file_of(header, data_bytes), "file");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::model);
    CHECK(std::string(e.what()).starts_with("[file] "));
    return e.what();
  }
  return "accepted";
}

void check_refused(const std::string& header, size_t data_bytes, const std::string& why) {
  CAPTURE(header);
  const std::string message = refusal(header, data_bytes);
  CAPTURE(message);
  CHECK(message.find(why) != std::string::npos);
}

std::vector<NamedTensor> some_tensors() {
  return {{"weights.z", randn({2, 3, 1, 1}, 1, DType::f32)},
          {"weights.a", randn({4}, 2, DType::f64)},
          {"count", Tensor::full({}, -7, DType::i64)},
          {"image \"quoted\" \n", integers({2, 2, 3}, 3, DType::u8)},
          {"none", Tensor::empty({0, 5})},
          {"slice", randn({3, 2, 5}, 4, DType::f32).slice(1, 2)}};
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, in order, with its metadata") {
  const Folder folder;
  const auto tensors = some_tensors();
  const Metadata metadata{{"lgms.format", "1"}, {"text", "\"\\\n\u00e9"}};
  write_safetensors(folder / "x", tensors, metadata);
  const Safetensors read = read_safetensors(folder / "x");
  Metadata with_checksum = read.metadata;
  CHECK(with_checksum.extract("lgms.checksum").mapped().starts_with("crc32:"));
  CHECK(with_checksum == metadata);
  REQUIRE(read.tensors.size() == tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    CHECK(read.tensors[i].name == tensors[i].name);
    CHECK(read.tensors[i].tensor.dtype() == tensors[i].tensor.dtype());
    CHECK(read.tensors[i].tensor.shape() == tensors[i].tensor.shape());
    CHECK(max_difference(read.tensors[i].tensor, tensors[i].tensor) == 0);
  }
  CHECK(read.find("count")->data<int64_t>()[0] == -7);
  CHECK(read.find("absent") == nullptr);
}

TEST_CASE("safetensors: the same tensors give the same bytes, the data begin at a multiple of 8") {
  const Folder folder;
  for (const char* name : {"a", "b"}) write_safetensors(folder / name, some_tensors(), {{"k", "v"}});
  const Bytes bytes = read_file(folder / "a");
  CHECK(bytes == read_file(folder / "b"));
  uint64_t header;
  std::memcpy(&header, bytes.data(), 8);
  CHECK(header % 8 == 0);
  write_safetensors(folder / "none", {});
  CHECK(read_safetensors(folder / "none").tensors.empty());
}

TEST_CASE("safetensors: a flipped bit of any element is found; a file without a checksum is read") {
  const Folder folder;
  write_safetensors(folder / "x", some_tensors());
  const Bytes bytes = read_file(folder / "x");
  uint64_t header;
  std::memcpy(&header, bytes.data(), 8);
  for (size_t at = 8 + header; at < bytes.size(); ++at) {
    Bytes damaged = bytes;
    damaged[at] ^= static_cast<uint8_t>(1 << at % 8);
    CHECK(error_of([&] { read_safetensors(damaged, "x"); }).find("[x] lgms.checksum: expected crc32:") == 0);
  }
  Bytes old = bytes;  // as older programs wrote it
  const std::string key = "lgms.checksum", other = "some.checksum";
  std::copy(other.begin(), other.end(), std::search(old.begin(), old.end(), key.begin(), key.end()));
  old.back() ^= 1;
  CHECK_NOTHROW(read_safetensors(old, "x"));
}

TEST_CASE("crc32: is zlib's, whole and in parts") {
  Bytes bytes(200);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i + 7);
  for (const size_t n : {0u, 1u, 7u, 8u, 9u, 63u, 200u}) {
    const auto part = std::span(bytes).first(n);
    CHECK(io::crc32(part) == ::crc32(0, part.data(), static_cast<uInt>(n)));
    CHECK(io::crc32(part.subspan(n / 3), io::crc32(part.first(n / 3))) == io::crc32(part));
  }
}

TEST_CASE("safetensors: a header of many names takes time as their number") {
  std::string header = "{";
  for (int i = 0; i < 200'000; ++i)
    header += text(i ? "," : "", "\"t", i, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  CHECK(read_safetensors(file_of(header + "}", 0), "x").tensors.size() == 200'000);  // minutes, were it their square
}

TEST_CASE("safetensors: names that stand twice or are no text are usage errors, and nothing is written") {
  const Folder folder;
  const Tensor t = Tensor::zeros({1});
  for (const std::string name : {"a", "__metadata__", "\xff"}) {
    const std::vector<NamedTensor> tensors{{"a", t}, {name, t}};
    CHECK_THROWS_AS(write_safetensors(folder / "x", tensors), Error);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("safetensors: I32 is widened, BOOL becomes u8, other types are refused by name") {
  const auto read = read_safetensors(
      file_of(
          R"({"b":{"dtype":"BOOL","shape":[4],"data_offsets":[4,8]},"i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}} )",
          8),
      "file");
  REQUIRE(read.tensors.size() == 2);
  CHECK(read.tensors[0].name == "i");
  CHECK(read.tensors[0].tensor.data<int64_t>()[0] == 0x04030201);
  CHECK(read.tensors[1].tensor.dtype() == DType::u8);
  check_refused(R"({"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", 4,
                R"(tensor "w": expected type F32, F64, I64, I32, U8 or BOOL, got "BF16"; convert it to float32 first)");
}

TEST_CASE("safetensors: whatever does not tile the file exactly is refused") {
  const auto two = [](const char* a, const char* b) {
    return text(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)", a,
                R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)", b, "}}");
  };
  CHECK(refusal(two("[0,2]", "[2,4]"), 4) == "accepted");
  CHECK(refusal(two("[2,4]", "[0,2]"), 4) == "accepted");
  check_refused(two("[0,2]", "[1,3]"), 3, "expected its data to begin at 2");  // overlap
  check_refused(two("[0,2]", "[0,2]"), 2, "expected its data to begin at 2");
  check_refused(two("[0,2]", "[3,5]"), 5, "expected its data to begin at 2");  // gap
  check_refused(two("[1,3]", "[3,5]"), 5, "expected its data to begin at 0");
  check_refused(two("[0,2]", "[2,4]"), 5, "data: expected 4 bytes, got 5");
  check_refused(two("[0,2]", "[2,4]"), 3, R"(tensor "b": expected data_offsets within the file's 3 bytes)");
  check_refused(two("[0,2]", "[4,2]"), 4, "data_offsets");
  check_refused(two("[0,2]", "[2,3]"), 3, "need 2 bytes, got 1");
  check_refused(two("[0,2]", "[2,18446744073709551615]"), 4, "non-negative integers");
  check_refused(two("[0,2]", "[2,4,6]"), 4, "non-negative integers");
}

TEST_CASE("safetensors: impossible shapes are refused") {
  const auto shaped = [](const char* shape) {
    return text(R"({"w":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,4]}})");
  };
  CHECK(refusal(shaped("[1,1,1,1,1]"), 4) == "accepted");
  CHECK(refusal(shaped("[]"), 4) == "accepted");
  check_refused(shaped("[-1]"), 4, "non-negative integers");
  check_refused(shaped("[1.0]"), 4, "non-negative integers");
  check_refused(shaped("[\"1\"]"), 4, "non-negative integers");
  check_refused(shaped("1"), 4, "non-negative integers");
  check_refused(shaped("[1,1,1,1,1,1]"), 4, "at most 5 dimensions, got 6");
  check_refused(shaped("[4611686018427387904]"), 4, "non-negative integers");
  check_refused(shaped("[2305843009213693952,2]"), 4, "more than 2^48 bytes");
  check_refused(shaped("[2147483648,2147483648,2147483648]"), 4, "more than 2^48 bytes");
  check_refused(shaped("[0,4611686018427387903]"), 4, "need 0 bytes, got 4");
  check_refused(shaped("[281474976710655]"), 4, "");
}

TEST_CASE("safetensors: malformed headers are refused") {
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  CHECK(refusal("{" + a + "}", 1) == "accepted");
  CHECK(refusal("{" + a + "}  \n", 1) == "accepted");
  check_refused("{" + a + "," + a + "}", 1, R"(the key "a" stands twice)");
  check_refused(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
                R"(the key "dtype" stands twice)");
  check_refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0, R"(the key "k" stands twice)");
  check_refused(R"({"__metadata__":{"k":1}})", 0, R"(__metadata__ "k": expected a string, got something else)");
  check_refused(R"({"__metadata__":[]})", 0, "__metadata__");
  check_refused("{" + a, 1, "expected JSON");
  check_refused("{" + a + "}x", 1, "expected JSON");
  check_refused("{\"\xff\":1}", 0, "expected JSON");
  check_refused(" {" + a + "}", 1, "expected a JSON object");
  check_refused("[]", 0, "expected a JSON object");
  check_refused("", 0, "expected a JSON object");
  check_refused(R"({"a":1})", 0, "expected dtype, shape and data_offsets");
  check_refused(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "expected dtype, shape and data_offsets");
  check_refused(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, "shape");
  check_refused(R"({"a":{"dtype":"U8","shape":[1]}})", 1, "data_offsets");
  check_refused("{\"a\":" + std::string(100000, '['), 0, "more than 64 levels");
}

TEST_CASE("safetensors: the header's length is checked against the limit and the file before anything is allocated") {
  for (const uint64_t length : {uint64_t{100'000'001}, ~uint64_t{0}, uint64_t{1} << 63}) {
    Bytes bytes(16);
    std::memcpy(bytes.data(), &length, 8);
    CHECK(error_of([&] { read_safetensors(bytes, "file"); }).find("expected at most 100000000 bytes") !=
          std::string::npos);
  }
  Bytes bytes(16);
  bytes[0] = 9;
  CHECK(error_of([&] { read_safetensors(bytes, "file"); }) ==
        "[file] header: expected 9 bytes at offset 8, got 8; the file is cut short or damaged");
  const Folder folder;
  CHECK(error_of([&] { read_safetensors(folder / "none.safetensors"); }).find("No such file") != std::string::npos);
}

TEST_CASE("safetensors: a file cut at any byte is refused; damaged ones are read or refused, never worse") {
  const Folder folder;
  write_safetensors(folder / "x", some_tensors(), {{"k", "v"}});
  const Bytes bytes = read_file(folder / "x");
  const auto read = [](std::span<const uint8_t> file) { read_safetensors(file, "file"); };
  CHECK(accepted(truncations(bytes), read) == 0);
  CHECK(accepted(bit_flips(bytes), read) > 0);  // the elements are not checked
  accepted(overwritten(bytes, 20000, 1), read);
}
