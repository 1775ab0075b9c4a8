// What the linker and the compiler did for the program, read off its ELF file.
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "core/io/bytes.h"
#include "support/testing.h"

using namespace lgms;

#if defined(LGMS_HARDENED) && defined(__x86_64__)
namespace {

class Elf {
 public:
  explicit Elf(const char* path) : bytes_(io::read_file(path)), header_(at<Elf64_Ehdr>(0)) {}

  uint16_t type() const { return header_.e_type; }
  const Elf64_Phdr* segment(uint32_t type) const {
    for (int i = 0; i < header_.e_phnum; ++i) {
      const auto& s = at<Elf64_Phdr>(header_.e_phoff + static_cast<uint64_t>(i) * header_.e_phentsize);
      if (s.p_type == type) return &s;
    }
    return nullptr;
  }
  // The value of an entry of the dynamic section, 0 where there is none.
  uint64_t dynamic(int64_t tag) const {
    const Elf64_Phdr* s = segment(PT_DYNAMIC);
    for (uint64_t o = s->p_offset; o < s->p_offset + s->p_filesz; o += sizeof(Elf64_Dyn))
      if (at<Elf64_Dyn>(o).d_tag == tag) return at<Elf64_Dyn>(o).d_un.d_val;
    return 0;
  }
  bool imports(std::string_view symbol) const {
    const std::string name = '\0' + std::string(symbol) + '\0';
    return std::search(bytes_.begin(), bytes_.end(), name.begin(), name.end()) != bytes_.end();
  }
  // endbr64: where an indirect jump may land.
  int landing_places() const {
    const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    int count = 0;
    for (auto i = bytes_.begin(); (i = std::search(i, bytes_.end(), endbr64, endbr64 + 4)) != bytes_.end(); ++i)
      ++count;
    return count;
  }

 private:
  template <class T>
  const T& at(uint64_t offset) const {
    REQUIRE(offset + sizeof(T) <= bytes_.size());
    return *reinterpret_cast<const T*>(bytes_.data() + offset);
  }
  io::Bytes bytes_;
  const Elf64_Ehdr& header_;
};

}  // namespace

TEST_CASE(
    "hardening: the program can be put anywhere, binds at start, and neither stack nor relocations can be misused") {
  const Elf program(LGMS_PROGRAM);
  CHECK(program.type() == ET_DYN);
  CHECK((program.dynamic(DT_FLAGS_1) & (DF_1_NOW | DF_1_PIE)) == (DF_1_NOW | DF_1_PIE));
  CHECK(program.segment(PT_GNU_RELRO) != nullptr);
  REQUIRE(program.segment(PT_GNU_STACK) != nullptr);
  CHECK((program.segment(PT_GNU_STACK)->p_flags & PF_X) == 0);
}

TEST_CASE("hardening: stacks are guarded, buffers checked, jumps land where they may") {
  const Elf program(LGMS_PROGRAM);
  CHECK(program.imports("__stack_chk_fail"));
  CHECK(program.imports("__snprintf_chk"));
  CHECK(program.landing_places() > 1000);
}
#else
TEST_CASE("hardening: of release builds for x86-64 only" * doctest::skip()) {}
#endif
