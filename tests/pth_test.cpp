#include "core/formats/pth.h"

#include <cstring>

#include "core/io/bytes.h"
#include "core/io/safetensors.h"
#include "support/folder.h"
#include "support/hostile.h"
#include "support/testing.h"
#include "support/zip.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

namespace {

const std::string formats = LGMS_TEST_DATA "/formats/";

std::string unicode(const std::string& s) { return text('X', static_cast<char>(s.size()), std::string(3, '\0'), s); }
std::string byte(int value) { return text('K', static_cast<char>(value)); }

// A tensor of the storage "0" as torch.save writes it; sizes and strides are tuples of the pickle's own.
std::string tensor_of(int elements, const std::string& offset, const std::string& sizes, const std::string& strides,
                      const std::string& type = "FloatStorage") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + "ctorch\n" + type + "\n" + unicode("0") +
         unicode("cpu") + byte(elements) + "tQ" + offset + sizes + strides + "\x89" + "ccollections\nOrderedDict\n)RtR";
}

// A checkpoint {"w": value} with a storage "0" of six floats.
Bytes checkpoint(const std::string& value, const std::string& key = unicode("w")) {
  std::string floats(24, '\0');
  for (int i = 0; i < 6; ++i) {
    const auto f = static_cast<float>(i);
    std::memcpy(floats.data() + 4 * i, &f, 4);
  }
  return zip_of({{"x/data.pkl", std::string("\x80\x02}") + key + value + "s."}, {"x/data/0", floats}});
}

std::string refusal(std::span<const uint8_t> bytes) {
  try {
    read_pth(bytes, "file");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::model);
    CHECK(std::string(e.what()).starts_with("[file] "));
    return e.what();
  }
  return "accepted";
}

void check_refused(std::span<const uint8_t> bytes, const std::string& why) {
  const std::string message = refusal(bytes);
  CAPTURE(message);
  CHECK(message.find(why) != std::string::npos);
}

std::vector<double> values(const Tensor& t) {
  const Tensor d = t.to(DType::f64);
  return {d.span<double>().begin(), d.span<double>().end()};
}

}  // namespace

TEST_CASE("pth: tensors of every type, transposed, sliced, empty, scalar, and parameters") {
  const auto tensors = read_pth(formats + "state.pth");
  const std::vector<std::tuple<std::string, DType, Shape, std::vector<double>>> want{
      {"a", DType::f32, {2, 3}, {0, 1, 2, 3, 4, 5}},
      {"transposed", DType::f32, {3, 2}, {0, 3, 1, 4, 2, 5}},
      {"columns", DType::f32, {2, 2}, {1, 2, 4, 5}},
      {"count", DType::i64, {}, {7}},
      {"double", DType::f64, {2, 3}, {0, 0.5, 1, 1.5, 2, 2.5}},
      {"bytes", DType::u8, {2}, {1, 2}},
      {"none", DType::f32, {0, 3}, {}},
      {"parameter", DType::f32, {2, 3}, {0, 1, 2, 3, 4, 5}}};
  REQUIRE(tensors.size() == want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const auto& [name, dtype, shape, elements] = want[i];
    CAPTURE(tensors[i].name);
    CHECK(tensors[i].name == name);
    CHECK(tensors[i].tensor.dtype() == dtype);
    CHECK(tensors[i].tensor.shape() == shape);
    CHECK(tensors[i].tensor.is_dense());
    CHECK(values(tensors[i].tensor) == elements);
  }
}

TEST_CASE("pth: a state dict under \"state_dict\", protocol 4, is the same as a bare one") {
  const auto bare = read_pth(formats + "state.pth"), wrapped = read_pth(formats + "wrapped.pth");
  REQUIRE(bare.size() == wrapped.size());
  for (size_t i = 0; i < bare.size(); ++i) {
    CHECK("module." + bare[i].name == wrapped[i].name);
    CHECK(max_difference(bare[i].tensor, wrapped[i].tensor) == 0);
  }
}

TEST_CASE("pth: what training scripts keep beside the weights is passed over; tensors with attributes are tensors") {
  const auto bare = read_pth(formats + "state.pth");
  for (const char* name : {"training2.pth", "training4.pth", "training5.pth"}) {
    CAPTURE(name);
    const auto tensors = read_pth(formats + name);
    REQUIRE(tensors.size() == bare.size() + 1);
    for (size_t i = 0; i < bare.size(); ++i) {
      CHECK(tensors[i].name == "module._orig_mod.model." + bare[i].name);
      CHECK(max_difference(bare[i].tensor, tensors[i].tensor) == 0);
    }
    CHECK(tensors.back().name == "module._orig_mod.model.attribute");
    CHECK(max_difference(bare[0].tensor, tensors.back().tensor) == 0);
  }
}

TEST_CASE("pth: an archive without checksums is read") {
  const auto bare = read_pth(formats + "state.pth"), unchecked = read_pth(formats + "no_crc.pth");
  REQUIRE(bare.size() == unchecked.size());
  for (size_t i = 0; i < bare.size(); ++i) CHECK(max_difference(bare[i].tensor, unchecked[i].tensor) == 0);
}

TEST_CASE("pth: a state dict is found under the names that scripts give it, in any nesting") {
  const std::string tensor = tensor_of(6, byte(0), byte(6) + "\x85", byte(1) + "\x85");
  const std::string other = tensor_of(6, byte(0), byte(3) + "\x85", byte(1) + "\x85");
  const auto dict = [](const std::string& items) { return "}(" + items + "u"; };
  const std::string weights = dict(unicode("w") + tensor);
  const auto file = [](const std::string& root) {
    return zip_of({{"x/data.pkl", "\x80\x02" + root + "."}, {"x/data/0", std::string(24, '\1')}});
  };
  const auto found = [&](const std::string& root) {
    const auto tensors = read_pth(file(root), "file");
    return tensors.size() == 1 && tensors[0].name == "w" && tensors[0].tensor.shape() == Shape{6};
  };
  for (const char* name :
       {"state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module"}) {
    CAPTURE(name);
    CHECK(found(dict(unicode("epoch") + byte(3) + unicode(name) + weights + unicode("loss") + tensor)));
    CHECK(found(dict(unicode("model") + dict(unicode(name) + dict(unicode("net") + weights)))));
  }
  CHECK(found(dict(unicode("model") + unicode("unet") + unicode("weights") + dict(unicode("ce") + byte(1)) +
                   unicode("params") + dict(unicode("lr") + byte(1)) + unicode("net") + weights)));
  CHECK(found(dict(unicode("model") + weights + "q\x01" + unicode("net") + "h\x01")));  // one under two names
  check_refused(file(dict(unicode("model") + weights + unicode("net") + dict(unicode("v") + other))),
                "expected one state dict, got two, under \"model\" and \"net\"");
  check_refused(file(dict(unicode("ema") + weights)), "entry \"ema\": expected a tensor, got a dict");

  // Dicts that hold themselves and each other, and more of them than any stack holds.
  CHECK(found("}q\x01(" + unicode("model") + "h\x01" + unicode("net") + weights + "u"));
  check_refused(file("}q\x01(" + unicode("model") + "h\x01" + unicode("net") + "h\x01u"), "got a dict");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += text('}', unicode("net"));
  check_refused(file(deep + weights + std::string(100000, 's')), "entry \"net\": expected a tensor, got a dict");
  std::string wide = weights + "q\x01";  // each names the one before nine times
  for (int i = 2; i < 15; ++i) {
    wide += "0}(";
    for (const char* name : {"state_dict", "model_state_dict", "model", "net", "network"})
      wide += text(unicode(name), 'h', static_cast<char>(i - 1));
    wide += text("uq", static_cast<char>(i));
  }
  CHECK(found(wide));
}

TEST_CASE("pth: dicts are made of dicts and of pairs, but not without end") {
  const std::string tensor = tensor_of(6, byte(0), byte(6) + "\x85", byte(1) + "\x85");
  const auto made = [&](const std::string& arguments, const char* function = "ccollections\nOrderedDict\n") {
    return refusal(
        zip_of({{"x/data.pkl", text("\x80\x02", function, arguments, "R.")}, {"x/data/0", std::string(24, '\1')}}));
  };
  const std::string pair = "](" + unicode("w") + tensor + "e";
  CHECK(made("](" + pair + "e\x85") == "accepted");
  CHECK(made("](" + unicode("w") + tensor + "\x86" + "e\x85") == "accepted");
  CHECK(made(text('}', unicode("w"), tensor, "s\x85")) == "accepted");
  CHECK(made("c__builtin__\nlist\n}" + unicode("w") + tensor + "s\x86", "ccollections\ndefaultdict\n") == "accepted");
  CHECK(made(text(']', byte(1), "a\x85")).find("expected pairs as the items of collections.OrderedDict") !=
        std::string::npos);
  CHECK(made("N\x85").find("expected a dict or a list as the argument") != std::string::npos);
  CHECK(made("}}\x86").find("expected one dict or list") != std::string::npos);
  CHECK(made("(" + std::string(17, 'N') + "t").find("at most 16 arguments") != std::string::npos);
  std::string copies = "](" + std::string(1 << 12, 'N') + "eq\x01";
  for (int i = 0; i < 1 << 13; ++i) copies += "ccollections\ndeque\nh\x01\x85R0";
  CHECK(refusal(zip_of({{"x/data.pkl", "\x80\x02" + copies + "}."}})).find("empty one") != std::string::npos);
  copies = "}(";
  for (int i = 0; i < 1 << 12; ++i) copies += "NN";
  copies += "uq\x01";
  for (int i = 0; i < 1 << 13; ++i) copies += "ccollections\nCounter\nh\x01\x85R0";
  CHECK(refusal(zip_of({{"x/data.pkl", "\x80\x02" + copies + "}."}})).find("copies its dicts too often") !=
        std::string::npos);
}

TEST_CASE("pth: golden checkpoints equal the weights of the golden files") {
  for (const std::string name : {"lgmsnet2d_tiny", "lgmsnet2d_default"}) {
    const std::string path = testing::shared("golden/" + name).string();
    if (!std::filesystem::exists(path + ".pth")) {
      MESSAGE("skipped: no " << path << ".pth");
      continue;
    }
    const auto tensors = read_pth(path + ".pth");
    const auto golden = read_safetensors(path + ".safetensors");
    CHECK(tensors.size() == 372);
    for (const NamedTensor& t : tensors) {
      CAPTURE(t.name);
      const Tensor* want = golden.find("weights." + t.name);
      REQUIRE(want != nullptr);
      CHECK(t.tensor.dtype() == want->dtype());
      CHECK(max_difference(t.tensor, *want) == 0);
    }
  }
}

TEST_CASE("pth: a pickle that wants to run something is refused by name, and nothing runs") {
  const Folder folder;
  const std::string marker = (folder / "ran").string();
  const auto evil = [&](const std::string& global) {
    return checkpoint(global + "(" + unicode("touch " + marker) + "tR");
  };
  check_refused(evil("cos\nsystem\n"), "wants to call os.system; nothing was executed");
  check_refused(evil("cposix\nsystem\n"), "wants to call posix.system; nothing was executed");
  check_refused(evil("cbuiltins\neval\n"), "wants to call builtins.eval");
  check_refused(evil("\x8c\x08"
                     "builtins\x8c\x04"
                     "exec\x93"),
                "wants to call builtins.exec");
  check_refused(evil("csubprocess\nPopen\n"), "wants to call subprocess.Popen");
  check_refused(evil("ctorch\nload\n"), "wants to call torch.load");
  check_refused(evil("ctorch._utils\n_rebuild_tensor_v2.__globals__\n"), "wants to call");
  check_refused(evil("ctorch\nFloatStorage\n"), "wants to call torch.FloatStorage");
  check_refused(checkpoint("(ios\nsystem\n"), "got operation 105");                     // INST
  check_refused(checkpoint("ccollections\nOrderedDict\n)}\x92"), "got operation 146");  // NEWOBJ_EX
  for (const char* name :
       {"argparse\nNamespace", "__builtin__\ngetattr", "__builtin__\nunicode str", "builtins\n",
        "torch.nn.modules.linear\nLinear", "numpy\nload", "_codecs\ndecode", "copyreg\n_reconstructor",
        "torch.storage\n_load_from_bytes", "operator\nattrgetter", "functools\npartial"})
    check_refused(evil(text('c', name, '\n')), "wants to call ");
  check_refused(checkpoint("\x82\x01"), "got operation 130");  // EXT1
  CHECK(!std::filesystem::exists(marker));
}

TEST_CASE("pth: tensors must lie within their storage") {
  const auto shaped = [](const std::string& offset, const std::string& sizes, const std::string& strides) {
    return checkpoint(tensor_of(6, offset, sizes, strides));
  };
  const std::string two_three = byte(2) + byte(3) + "\x86", three_one = byte(3) + byte(1) + "\x86";
  const std::string huge = std::string("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10), minus = "J\xff\xff\xff\xff";
  CHECK(refusal(shaped(byte(0), two_three, three_one)) == "accepted");
  check_refused(shaped(byte(1), two_three, three_one), "within the 6 elements");
  check_refused(shaped(huge, two_three, three_one), "within the 6 elements");
  check_refused(shaped(minus, two_three, three_one), "non-negative integers");
  check_refused(shaped(byte(0), huge + huge + "\x86", three_one), "within the 6 elements");
  check_refused(shaped(byte(0), two_three, huge + huge + "\x86"), "within the 6 elements");
  check_refused(shaped(byte(0), minus + byte(3) + "\x86", three_one), "non-negative integers");
  check_refused(shaped(byte(0), two_three, minus + byte(1) + "\x86"), "non-negative integers");
  check_refused(shaped("\x8a\x09" + std::string(9, '\1'), two_three, three_one), "non-negative integers");
  check_refused(shaped(byte(0), byte(100) + byte(100) + "\x86", byte(0) + byte(0) + "\x86"), "expanded");
  check_refused(shaped(byte(0), byte(0) + huge + "\x86", three_one), "within the 6 elements");
  check_refused(shaped(byte(0), two_three, byte(1) + "\x85"), "sizes and strides");
  check_refused(shaped(byte(0), text('(', byte(1), byte(1), byte(1), byte(1), byte(1), byte(1), 't'), three_one),
                "at most 5 sizes");
  check_refused(shaped(byte(0), "N", "N"), "sizes and strides");
  check_refused(checkpoint(tensor_of(7, byte(0), two_three, three_one)),
                "expected 7 elements of type f32, got 24 bytes");
  check_refused(checkpoint(tensor_of(6, byte(0), two_three, three_one, "HalfStorage")), "got torch.HalfStorage");
}

TEST_CASE("pth: many names for one storage cannot make more than a file of that size could hold") {
  std::string pickle = "\x80\x02}";
  const std::string shape = byte(2) + byte(3) + "\x86" + byte(3) + byte(1) + "\x86";
  pickle += unicode("0") + tensor_of(6, byte(0), byte(2) + byte(3) + "\x86", byte(3) + byte(1) + "\x86") + "q\x01s";
  for (char name = '1'; name < 'z'; ++name) pickle += unicode(std::string(1, name)) + "h\x01s";
  std::string floats(24, '\1');
  CHECK(refusal(zip_of({{"x/data.pkl", pickle + "."}, {"x/data/0", floats}})) == "accepted");
  for (int i = 0; i < 30000; ++i)
    pickle += "X\x02" + std::string(3, '\0') + static_cast<char>('0' + i / 256) + static_cast<char>(i % 256) + "h\x01s";
  check_refused(zip_of({{"x/data.pkl", pickle + "."}, {"x/data/0", floats}}), "");
}

TEST_CASE("pth: zip archives that lie or are of another kind are refused") {
  const std::string pickle = "\x80\x02}.";
  check_refused(zip_of({{"x/data.pkl", pickle}}), "got an empty one");
  check_refused(zip_of({{"x/other", pickle}}), "without data.pkl");
  check_refused(zip_of({{"x/data.pkl", pickle, 8}}), "compressed or encrypted");
  check_refused(zip_of({{"x/data.pkl", pickle, 0, 1000}}), "zip entry: expected");
  check_refused(zip_of({{"x/data.pkl", pickle, 0, 1}}), "checksum is wrong");
  check_refused(zip_of({{"x/data.pkl", pickle}, {"x/data.pkl", pickle}}), "stands twice");
  check_refused(zip_of({{"x/data.pkl", pickle}, {"x/byteorder", "big"}}), "byteorder");
  check_refused(zip_of({{"x/data.pkl", std::string(1 << 24, 'N') + "N."}}), "pickle: expected at most");
  check_refused(read_file(formats + "legacy.pth"), "container of PyTorch before 1.6; re-save it");
  Bytes tar(512);
  std::memcpy(tar.data() + 257, "ustar", 5);
  check_refused(tar, "container of PyTorch before 1.6; re-save it");
  check_refused({}, "expected a PyTorch checkpoint");

  // Entries that share their bytes: a small file that claims to hold a large one many times.
  std::vector<ZipEntry> sharing{{"x/data.pkl", pickle}, {"y", std::string(100000, 'y')}};
  for (int i = 0; i < 9; ++i) sharing.push_back({text("y", i), std::string(100000, 'y'), 0, 0, true});
  check_refused(zip_of(sharing), "overlaps others");
}

TEST_CASE("pth: other contents than a state dict are refused, saying what was found") {
  check_refused(checkpoint(byte(1)), "entry \"w\": expected a tensor, got an integer; only a state dict");
  check_refused(checkpoint("}"), "got a dict");
  check_refused(checkpoint("ctorch\nSize\n)\x85R"), "expected a tensor, got torch.Size");
  check_refused(checkpoint("\x8a\x09" + std::string(9, '\7')), "expected a tensor, got int");
  check_refused(checkpoint("N"), "got None");
  check_refused(checkpoint("N", byte(1)), "expected names, got an integer as a key");
  const std::string tensor = tensor_of(6, byte(0), byte(6) + "\x85", byte(1) + "\x85");
  check_refused(checkpoint(tensor + "s" + unicode("w") + tensor), "the name \"w\" stands twice");
  check_refused(zip_of({{"x/data.pkl", "\x80\x02N."}}), "got None");
  check_refused(zip_of({{"x/data.pkl", "\x80\x02]."}}), "got a list");
  check_refused(zip_of({{"x/data.pkl", std::string("\x80\x02}") + unicode("state_dict") + "Ns."}}), "got None");
}

TEST_CASE("pth: malformed pickles are refused") {
  for (const char* pickle : {"",
                             ".",
                             "\x80\x02",
                             "\x80\x01}.",
                             "\x80\x06}.",
                             "}",
                             "0.",
                             "2.",
                             "t.",
                             "1.",
                             "(0.",
                             "\x86.",
                             "}s.",
                             "}NNs",
                             "]NNs.",
                             "}(Nu.",
                             "(]N",
                             "]}a",
                             "Na.",
                             "R.",
                             "NR.",
                             ")R.",
                             "]R.",
                             "NQ.",
                             "Nb.",
                             "q\x01.",
                             "h\x01.",
                             "\x94.",
                             "\x93.",
                             "NN\x93.",
                             "X\xff\xff\xff\xff"
                             "a.",
                             "\x8a\xff.",
                             "ccollections",
                             "ccollections\nOrderedDict\n(NtR.",
                             "\x90.",
                             "\x91.",
                             "](\x90.",
                             "B\xff\xff\xff\xff.",
                             "\x8b\xff\xff\xff\xff.",
                             "\x8e\xff.",
                             "C\x05.",
                             "(((((((.",
                             "]q\x01h\x01"
                             "a."}) {
    CAPTURE(pickle);
    CHECK(refusal(zip_of({{"x/data.pkl", pickle}})) != "accepted");
  }
}

TEST_CASE("pth: a file cut at any byte is refused; damaged ones are read or refused, never worse") {
  const auto read = [](std::span<const uint8_t> bytes) { read_pth(bytes, "file"); };
  for (const char* name : {"state.pth", "wrapped.pth", "training2.pth", "training5.pth"}) {
    const Bytes bytes = read_file(formats + name);
    CHECK(accepted(truncations(bytes), read) == 0);
    accepted(overwritten(bytes, 2000, 1), read);
  }
  for (const char* name : {"state.pth", "training5.pth"}) accepted(bit_flips(read_file(formats + name)), read);
  // Damage behind right checksums.
  const std::string tensor = tensor_of(6, byte(0), byte(2) + byte(3) + "\x86", byte(3) + byte(1) + "\x86");
  const std::string pickle = "\x80\x02}" + unicode("w") + tensor + "s.";
  for (const Bytes& damaged : overwritten(Bytes(pickle.begin(), pickle.end()), 8000, 3))
    refusal(zip_of({{"x/data.pkl", std::string(damaged.begin(), damaged.end())}, {"x/data/0", std::string(24, 'f')}}));
}
