#include "core/formats/gzip.h"

#include <zlib.h>

#include "core/context.h"
#include "core/error.h"
#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

// Bytes that compress, but not to nothing.
io::Bytes some(size_t n) {
  io::Bytes bytes(n);
  uint32_t state = 1;
  for (size_t i = 0; i < n; ++i) {
    state = state * 1664525 + 1013904223;
    bytes[i] = static_cast<uint8_t>(state >> 28 ^ i / 1000);
  }
  return bytes;
}

io::Bytes inflated(const io::Bytes& file, size_t expected) {
  z_stream z{};
  REQUIRE(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
  io::Bytes bytes(expected + 1);
  z.next_in = const_cast<uint8_t*>(file.data());
  z.avail_in = static_cast<uInt>(file.size());
  z.next_out = bytes.data();
  z.avail_out = static_cast<uInt>(bytes.size());
  CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);  // one member, its checksum and its length right,
  CHECK(z.avail_in == 0);                        // and nothing behind it
  bytes.resize(z.total_out);
  inflateEnd(&z);
  return bytes;
}

}  // namespace

TEST_CASE("gzip: gives back what was written, one file for any number of threads and any cut of the writes") {
  const Folder folder;
  constexpr size_t piece = 1 << 17;
  for (const size_t n : {size_t{0}, size_t{1}, piece - 1, piece, piece + 1, 2 * piece, 5 * piece + 77}) {
    CAPTURE(n);
    const io::Bytes bytes = some(n);
    io::Bytes first;
    for (const int threads : {1, 2, 3, 8})
      for (const size_t cut : {size_t{1000}, piece, 3 * piece}) {
        CAPTURE(threads);
        CAPTURE(cut);
        Context context({.threads = threads});
        const Context::Scope scope(context);
        io::GzipFile file(folder.path() / "x.gz");
        for (size_t at = 0; at < n; at += cut) file.write(std::span(bytes).subspan(at, std::min(cut, n - at)));
        file.commit();
        const io::Bytes written = io::read_file(folder.path() / "x.gz");
        if (first.empty()) first = written;
        CHECK((written == first));
      }
    CHECK((inflated(first, n) == bytes));
  }
}

TEST_CASE("gzip: pieces cost next to nothing") {
  const Folder folder;
  const io::Bytes bytes = some(3 << 20);
  io::GzipFile file(folder.path() / "x.gz");
  file.write(bytes);
  file.commit();
  io::Bytes whole(compressBound(static_cast<uLong>(bytes.size())));
  uLongf size = whole.size();
  REQUIRE(compress2(whole.data(), &size, bytes.data(), static_cast<uLong>(bytes.size()), 4) == Z_OK);
  CHECK(static_cast<double>(io::read_file(folder.path() / "x.gz").size()) < 1.005 * static_cast<double>(size));
}

TEST_CASE("gzip: what was not committed leaves nothing") {
  const Folder folder;
  { io::GzipFile(folder.path() / "x.gz").write(some(1 << 20)); }
  CHECK(std::filesystem::is_empty(folder.path()));
}
