#include "fcc/io/safetensors.h"

#include <cstring>
#include <numeric>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

template <typename T>
TensorView view(
    const std::string& name,
    DType dtype,
    std::vector<std::int64_t> shape,
    const std::vector<T>& values) {
  return {name, dtype, std::move(shape), std::as_bytes(std::span(values))};
}

template <typename T>
std::vector<T> values_of(const TensorView& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

/// A file of header length, header and data, right or wrong.
std::string file_bytes(const std::string& header, const std::string& data = "") {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

std::string error_of_reading(const std::filesystem::path& path) {
  try {
    SafetensorsFile file(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(SafetensorsFile, GivesBackWhatWasWritten) {
  const TemporaryDirectory directory;
  const std::vector<std::uint16_t> tokens{1, 2, 65535};
  const std::vector<std::int64_t> starts{0, 1LL << 40};
  const std::vector<float> scalar{2.5F};
  const TensorView tensors[] = {
      view("tokens", DType::kU16, {3}, tokens),
      view("starts", DType::kI64, {2, 1}, starts),
      view("scalar \"ä\"\n", DType::kF32, {}, scalar),
      view("empty", DType::kF32, {113, 0}, std::vector<float>{})};
  write_safetensors(directory / "a.safetensors", tensors, {{"tokenizer", "{\"x\": 1}\\"}});

  const SafetensorsFile file(directory / "a.safetensors");
  EXPECT_EQ(file.tensors().size(), 4U);
  EXPECT_EQ(values_of<std::uint16_t>(file.at("tokens")), tokens);
  EXPECT_EQ(values_of<std::int64_t>(file.at("starts")), starts);
  EXPECT_EQ(file.at("starts").shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(file.at("starts").dtype, DType::kI64);
  EXPECT_EQ(values_of<float>(file.at("scalar \"ä\"\n")), scalar);
  EXPECT_TRUE(file.at("empty").bytes.empty());
  EXPECT_EQ(file.metadata().at("tokenizer"), "{\"x\": 1}\\");
  EXPECT_FALSE(file.contains("tokenz"));
}

TEST(SafetensorsFile, AlignsEveryTensorInTheMapping) {
  const TemporaryDirectory directory;
  const std::vector<std::uint8_t> bytes(239, 7);
  const std::vector<double> numbers(113, 0.5);
  const TensorView tensors[] = {
      view("bytes", DType::kU8, {239}, bytes), view("numbers", DType::kF64, {113}, numbers)};
  write_safetensors(directory / "a.safetensors", tensors);
  const SafetensorsFile file(directory / "a.safetensors");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.at("numbers").bytes.data()) % 8, 0U);
}

TEST(SafetensorsFile, AnUnknownNameIsAnErrorWithTheNearest) {
  const TemporaryDirectory directory;
  const std::vector<float> one{1};
  const TensorView tensors[] = {view("model.norm.weight", DType::kF32, {1}, one)};
  write_safetensors(directory / "a.safetensors", tensors);
  try {
    SafetensorsFile(directory / "a.safetensors").at("model.norm.wieght");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.hint(), "did you mean `model.norm.weight`?");
  }
}

TEST(SafetensorsFile, ReadsTheGoldenFiles) {
  std::size_t num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() + "/tests/golden")) {
    if (entry.path().extension() == ".safetensors") {
      EXPECT_FALSE(SafetensorsFile(entry.path()).tensors().empty());
      ++num_files;
    }
  }
  EXPECT_GT(num_files, 0U);
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* rule; ///< part of the error
};

class MalformedSafetensors : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedSafetensors, IsRefusedWithFileAndRule) {
  const TemporaryDirectory directory;
  const auto path = directory / "bad.safetensors";
  write_plain(path, GetParam().bytes);
  const std::string error = error_of_reading(path);
  EXPECT_NE(error.find(path.string()), std::string::npos) << error;
  EXPECT_NE(error.find(GetParam().rule), std::string::npos) << error;
}

std::string one_tensor(const std::string& entry, std::size_t data_bytes = 8) {
  return file_bytes("{\"w\":" + entry + "}", std::string(data_bytes, 'x'));
}

std::string two_tensors(const std::string& first, const std::string& second, std::size_t bytes) {
  return file_bytes(
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + first +
          "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + second + "}}",
      std::string(bytes, 'x'));
}

const Malformed kMalformed[] = {
    {"empty", "", "must begin with 8 bytes"},
    {"short_length", "\x02\x00", "must begin with 8 bytes"},
    {"header_beyond_file", std::string("\x10\0\0\0\0\0\0\0{}", 10), "must end within the file"},
    {"header_beyond_cap",
     std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10),
     "at most 100000000 bytes"},
    {"header_length_negative",
     std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10),
     "at most 100000000 bytes"},
    {"no_header", file_bytes(""), "must be a JSON object"},
    {"header_is_list", file_bytes("[]"), "must be a JSON object"},
    {"header_is_space_first", file_bytes(" {}"), "must be a JSON object"},
    {"header_is_cut", file_bytes("{\"w\":"), "must be valid JSON"},
    {"header_has_more", file_bytes("{} {}"), "must be valid JSON"},
    {"header_is_not_utf8", file_bytes("{\"\xff\":1}"), "must be valid JSON"},
    {"metadata_is_list", file_bytes("{\"__metadata__\":[]}"), "must be an object of strings"},
    {"metadata_is_number",
     file_bytes("{\"__metadata__\":{\"a\":1}}"),
     "`__metadata__.a` must be a string"},
    {"entry_is_number", one_tensor("5"), "must be described by an object"},
    {"entry_is_empty", one_tensor("{}"), "`dtype` must be a string"},
    {"entry_has_more",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})"),
     "only; got `x`"},
    {"dtype_is_unknown",
     one_tensor(R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})"),
     "element type; got `F33`"},
    {"shape_is_absent",
     one_tensor(R"({"dtype":"F32","data_offsets":[0,8]})"),
     "`shape` must be a list"},
    {"shape_is_negative",
     one_tensor(R"({"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]})"),
     "at least 0"},
    {"shape_is_fraction",
     one_tensor(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"),
     "whole numbers"},
    {"shape_is_beyond_64_bits",
     one_tensor(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]})"),
     "fit 64 bits"},
    {"shape_overflows",
     one_tensor(R"({"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,8]})"),
     "must fit 63 bits"},
    {"shape_wraps_to_the_right_size",
     one_tensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0),
     "must fit 63 bits"},
    {"offsets_are_three",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})"),
     "begin and end"},
    {"offsets_are_reversed",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
     "in this order"},
    {"offsets_are_negative",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"),
     "at least 0"},
    {"offsets_differ_from_shape",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
     "shape × dtype = 8 bytes; got 4"},
    {"data_is_cut",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 7),
     "must end within the file"},
    {"data_goes_on",
     one_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 9),
     "1 bytes after it"},
    {"hole_at_start",
     one_tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"),
     "without a hole"},
    {"hole_between", two_tensors("[0,4]", "[5,9]", 9), "without a hole"},
    {"overlap", two_tensors("[0,4]", "[3,7]", 7), "must not overlap"},
    {"same_place", two_tensors("[0,4]", "[0,4]", 4), "must not overlap"},
    {"name_twice",
     file_bytes(
         R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
     "no key may occur twice"},
    {"key_twice",
     one_tensor(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
     "no key may occur twice"},
    {"nul_behind_the_header", file_bytes(std::string("{}\0x", 4)), "NUL"},
    {"name_is_a_book",
     file_bytes("{\"" + std::string(5000, 'n') + "\":{}}"),
     "a name of at most 4096 bytes; got 5000"},
    {"shape_has_a_million_numbers",
     [] {
       std::string shape = "1";
       for (int i = 0; i < 1'000'001; ++i) {
         shape += ",1";
       }
       return one_tensor("{\"dtype\":\"U8\",\"shape\":[" + shape + "]}");
     }(),
     "must not hold more than 1000000 values"},
    {"deep", file_bytes("{\"a\":" + std::string(100000, '[')), "levels deep"}};

INSTANTIATE_TEST_SUITE_P(
    Table,
    MalformedSafetensors,
    testing::ValuesIn(kMalformed),
    [](const testing::TestParamInfo<Malformed>& row) { return std::string(row.param.name); });

TEST(SafetensorsFile, TensorsMayBeNamedInAnotherOrderThanTheyLie) {
  const TemporaryDirectory directory;
  write_plain(directory / "a.safetensors", two_tensors("[4,8]", "[0,4]", 8));
  const SafetensorsFile file(directory / "a.safetensors");
  EXPECT_EQ(file.tensors()[0].name, "b");
}

TEST(SafetensorsFile, ACutAnywhereIsAnError) {
  const TemporaryDirectory directory;
  const std::vector<float> values(17, 1.0F);
  const TensorView tensors[] = {
      view("a", DType::kF32, {17}, values), view("b", DType::kF32, {1, 17}, values)};
  write_safetensors(directory / "whole", tensors, {{"k", "v"}});
  const std::string whole = read_plain(directory / "whole");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_plain(directory / "cut", whole.substr(0, size));
    EXPECT_THROW(SafetensorsFile(directory / "cut"), FormatError) << size;
  }
}

TEST(SafetensorsFile, AFlippedBitInTheHeaderNeverReachesOutsideTheFile) {
  const TemporaryDirectory directory;
  const std::vector<float> values(17, 1.0F);
  const TensorView tensors[] = {
      view("a", DType::kF32, {17}, values), view("b", DType::kF32, {1, 17}, values)};
  write_safetensors(directory / "whole", tensors, {{"k", "v"}});
  const std::string whole = read_plain(directory / "whole");
  const std::size_t header_end = whole.size() - 2 * 17 * 4;
  for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    write_plain(directory / "flipped", flipped);
    try {
      // What is accepted (another name, another metadata string) still covers the same bytes.
      const SafetensorsFile file(directory / "flipped");
      std::size_t total = 0;
      for (const TensorView& tensor : file.tensors()) {
        total += tensor.bytes.size();
        for (const std::byte byte : tensor.bytes) {
          total += static_cast<std::size_t>(byte) * 0;
        }
      }
      EXPECT_EQ(total, 2U * 17 * 4) << bit;
    } catch (const FormatError&) {
    }
  }
}

TEST(WriteSafetensors, RefusesEqualNamesAndWrongSizes) {
  const TemporaryDirectory directory;
  const std::vector<float> values(3, 1.0F);
  const TensorView twice[] = {
      view("a", DType::kF32, {3}, values), view("a", DType::kF32, {3}, values)};
  EXPECT_THROW(write_safetensors(directory / "x", twice), FormatError);
  const TensorView wrong[] = {view("a", DType::kF32, {4}, values)};
  EXPECT_THROW(write_safetensors(directory / "x", wrong), FormatError);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SafetensorsStreamWriter, AppendsPiecesAcrossTensors) {
  const TemporaryDirectory directory;
  std::vector<std::uint16_t> tokens(1239);
  std::iota(tokens.begin(), tokens.end(), std::uint16_t{5});
  const TensorHeader headers[] = {{"a", DType::kU16, {239}}, {"b", DType::kU16, {2, 500}}};
  SafetensorsStreamWriter writer(directory / "t", headers, {{"n", "1239"}});
  for (std::size_t start = 0; start < tokens.size(); start += 113) {
    const std::size_t count = std::min<std::size_t>(113, tokens.size() - start);
    writer.append(std::as_bytes(std::span(tokens).subspan(start, count)));
  }
  writer.commit();
  const SafetensorsFile file(directory / "t");
  EXPECT_EQ(values_of<std::uint16_t>(file.at("a"))[238], tokens[238]);
  EXPECT_EQ(values_of<std::uint16_t>(file.at("b"))[999], tokens[1238]);
}

TEST(SafetensorsStreamWriter, TooFewOrTooManyBytesLeaveNoFile) {
  const TemporaryDirectory directory;
  const std::vector<std::uint8_t> bytes(5);
  const TensorHeader headers[] = {{"a", DType::kU8, {4}}};
  {
    SafetensorsStreamWriter writer(directory / "t", headers);
    EXPECT_THROW(writer.append(std::as_bytes(std::span(bytes))), FormatError);
    writer.append(std::as_bytes(std::span(bytes).first(3)));
    EXPECT_THROW(writer.commit(), FormatError);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

class ShardedDirectory : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) {
      tensors_.push_back(view(name, DType::kF32, {17}, values_));
    }
    write_safetensors_directory(directory_.path(), tensors_, 2 * 17 * 4);
  }
  std::string error() const {
    try {
      SafetensorsDirectory read(directory_.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  void write_index(const std::string& weight_map) const {
    write_plain(
        directory_ / "model.safetensors.index.json", "{\"weight_map\": " + weight_map + "}");
  }
  const std::string first_ = "\"model-00001-of-00002.safetensors\"";
  const std::string second_ = "\"model-00002-of-00002.safetensors\"";
  const std::vector<float> values_ = std::vector<float>(17, 1.0F);
  std::vector<TensorView> tensors_;
  TemporaryDirectory directory_;
};

TEST_F(ShardedDirectory, IsOneSetOfTensors) {
  const SafetensorsDirectory read(directory_.path());
  EXPECT_EQ(read.tensors().size(), 3U);
  EXPECT_EQ(values_of<float>(read.at("c")), values_);
  EXPECT_FALSE(read.contains("d"));
  EXPECT_THROW(read.at("d"), FormatError);
}

TEST_F(ShardedDirectory, IsReplacedByOneFileWithoutLeavingShards) {
  write_safetensors_directory(directory_.path(), tensors_, 1 << 20);
  EXPECT_EQ(SafetensorsDirectory(directory_.path()).tensors().size(), 3U);
  EXPECT_EQ(
      std::distance(
          std::filesystem::directory_iterator(directory_.path()),
          std::filesystem::directory_iterator()),
      1);
}

TEST_F(ShardedDirectory, NamesMustStayInTheDirectory) {
  for (const char* name : {"../x", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b", "a\\u0000b"}) {
    write_index("{\"a\": \"" + std::string(name) + "\"}");
    EXPECT_NE(error().find("plain name"), std::string::npos) << name << ": " << error();
  }
  write_index("{\"a\": 5}");
  EXPECT_NE(error().find("plain name"), std::string::npos) << error();
}

TEST_F(ShardedDirectory, MustHoldWhatTheIndexSaysAndNoMore) {
  write_index("{\"a\": " + second_ + ", \"c\": " + second_ + "}");
  EXPECT_NE(error().find("must be in the file that the index names"), std::string::npos) << error();
  write_index("{\"a\": " + first_ + ", \"c\": " + second_ + "}");
  EXPECT_NE(error().find("must be named by the index"), std::string::npos) << error();
  write_index("{\"a\": " + first_ + ", \"a\": " + second_ + "}");
  EXPECT_NE(error().find("no key may occur twice"), std::string::npos) << error();
  write_index("{\"a\": \"absent.safetensors\"}");
  EXPECT_NE(error().find("absent.safetensors: must be readable"), std::string::npos) << error();
  write_index("[]");
  EXPECT_NE(error().find("an object `weight_map`"), std::string::npos) << error();
}

TEST_F(ShardedDirectory, OneFileAndAnIndexTogetherAreRefused) {
  write_safetensors(directory_ / "model.safetensors", tensors_);
  EXPECT_NE(error().find("not both"), std::string::npos) << error();
}

TEST(SafetensorsDirectory, NamesBothFilesWhenNeitherIsThere) {
  const TemporaryDirectory directory;
  EXPECT_THROW(SafetensorsDirectory read(directory.path()), IoError);
}

} // namespace
} // namespace fcc
