#include "core/formats/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "core/context.h"
#include "core/error.h"

namespace lgms::io {
namespace {

constexpr size_t kPiece = size_t{1} << 17, kWindow = size_t{1} << 15;
constexpr uint8_t kHeader[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};  // deflate, made on Unix

}  // namespace

// A compressor and what it has made of its piece.
struct GzipFile::Piece {
  Piece() {
    constexpr int level = 4, memory = 8;  // labels: 7 % larger than by level 6, in 40 % of the time
    check(deflateInit2(&zlib, level, Z_DEFLATED, -MAX_WBITS, memory, Z_DEFAULT_STRATEGY) == Z_OK, ErrorKind::device,
          "[gzip] no memory to compress");
  }
  ~Piece() { deflateEnd(&zlib); }
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;

  void compress(std::span<const uint8_t> before, std::span<const uint8_t> bytes, bool last) {
    deflateReset(&zlib);
    deflateSetDictionary(&zlib, before.data(), static_cast<uInt>(before.size()));
    zlib.next_in = const_cast<uint8_t*>(bytes.data());  // zlib only reads there
    zlib.avail_in = static_cast<uInt>(bytes.size());
    zlib.next_out = out.data();
    zlib.avail_out = static_cast<uInt>(out.size());
    deflate(&zlib, last ? Z_FINISH : Z_SYNC_FLUSH);
    checksum = static_cast<uint32_t>(crc32(0, bytes.data(), static_cast<uInt>(bytes.size())));
  }
  std::span<const uint8_t> made() const { return std::span(out).first(out.size() - zlib.avail_out); }

  z_stream zlib{};
  Bytes out = Bytes(deflateBound(nullptr, kPiece) + 16);  // and the mark of a piece's end
  uint32_t checksum = 0;
};

GzipFile::GzipFile(const std::filesystem::path& path)
    : file_(path), pieces_(static_cast<size_t>(Context::current().threads())) {
  buffer_.reserve(kWindow + pieces_.size() * kPiece);
  file_.write(kHeader);
}

GzipFile::~GzipFile() = default;

void GzipFile::write(std::span<const uint8_t> bytes) {
  const size_t full = pieces_.size() * kPiece;
  while (!bytes.empty()) {
    if (buffer_.size() == before_ + full) compress(false);  // more comes: the last piece is the same for any threads
    const size_t n = std::min(bytes.size(), before_ + full - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
    bytes = bytes.subspan(n);
  }
}

// All that is not in the file.
void GzipFile::compress(bool last) {
  const std::span<const uint8_t> all(buffer_);
  const size_t fresh = all.size() - before_,
               count = last ? std::max<size_t>(1, (fresh + kPiece - 1) / kPiece) : fresh / kPiece;
  const auto start = [&](size_t i) { return before_ + std::min(i * kPiece, fresh); };
  Context::current().parallel(static_cast<int64_t>(count), [&](int64_t piece, int) {
    const auto i = static_cast<size_t>(piece);
    const size_t known = std::min(kWindow, start(i));
    pieces_[i].compress(all.subspan(start(i) - known, known), all.subspan(start(i), start(i + 1) - start(i)),
                        last && i + 1 == count);
  });
  for (size_t i = 0; i < count; ++i) {
    file_.write(pieces_[i].made());
    const size_t size = start(i + 1) - start(i);
    checksum_ = static_cast<uint32_t>(crc32_combine(checksum_, pieces_[i].checksum, static_cast<z_off_t>(size)));
    size_ += static_cast<uint32_t>(size);
  }
  before_ = std::min(kWindow, all.size());
  buffer_.erase(buffer_.begin(), buffer_.end() - static_cast<ptrdiff_t>(before_));
}

void GzipFile::commit() {
  compress(true);
  uint8_t trailer[8];
  for (int i = 0; i < 4; ++i) {
    trailer[i] = static_cast<uint8_t>(checksum_ >> 8 * i);
    trailer[4 + i] = static_cast<uint8_t>(size_ >> 8 * i);
  }
  file_.write(trailer);
  file_.commit();
}

}  // namespace lgms::io
