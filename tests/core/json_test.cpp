#include "fcc/core/json.h"

#include <cmath>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

TEST(Json, KeepsOrderTypesAndLines) {
  const JsonDocument document = parse_json("{\"b\": 1,\n\"a\": [2.5, null,\ntrue]}", "x");
  const auto& object = *document.root.as<JsonValue::Object>();
  ASSERT_EQ(object.size(), 2U);
  EXPECT_EQ(object[0].key, "b");
  EXPECT_EQ(*object[0].value.as<std::int64_t>(), 1);
  EXPECT_EQ(object[1].line, 2);
  const auto& array = *object[1].value.as<JsonValue::Array>();
  EXPECT_EQ(array[0].as<JsonValue::Number>()->value, 2.5);
  EXPECT_TRUE(array[1].is_null());
  EXPECT_EQ(array[2].line, 3);
  EXPECT_EQ(document.root.find("c"), nullptr);
}

TEST(Json, DuplicatesAreListedWithPathAndLinesAndTheFirstCounts) {
  const JsonDocument document = parse_json(
      "{\"a\": {\"k\": 1,\n\"k\": {\"z\": 2}},\n\"a\": 3, \"l\": [0, {\"m\": 1, \"m\": 1}]}", "x");
  ASSERT_EQ(document.duplicates.size(), 3U);
  EXPECT_EQ(document.duplicates[0].path, "a.k");
  EXPECT_EQ(document.duplicates[0].line, 2);
  EXPECT_EQ(document.duplicates[0].first_line, 1);
  EXPECT_EQ(document.duplicates[1].path, "a");
  EXPECT_EQ(document.duplicates[2].path, "l.1.m");
  EXPECT_EQ(*document.root.find("a")->find("k")->as<std::int64_t>(), 1);
  EXPECT_THROW(parse_json_without_duplicates("{\"a\": 1, \"a\": 1}", "x"), FormatError);
}

TEST(Json, TextReadsBackEqual) {
  const std::string text =
      R"({"a": [1, -9223372036854775808, 18446744073709551616, 1e-05, 0.1], "b\"\\\u0001ä\n": {}, "c": [], "d": [{"e": null}, [true]]})";
  const JsonValue value = parse_json(text, "x").root;
  EXPECT_EQ(json_text(value, 0), text);
  EXPECT_EQ(json_text(parse_json(json_text(value, 3), "x").root, 0), text);
}

TEST(Json, DoublesKeepEveryBitAndStayDoubles) {
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const double number =
        (random.uniform() - 0.5) * std::pow(10.0, static_cast<double>(random.below(600)) - 300);
    const JsonValue read =
        parse_json(json_text(JsonValue(JsonValue::Number{number, ""})), "x").root;
    ASSERT_NE(read.as<JsonValue::Number>(), nullptr);
    EXPECT_EQ(read.as<JsonValue::Number>()->value, number);
  }
  EXPECT_EQ(json_text(JsonValue(JsonValue::Number{3.0, ""})), "3.0");
}

TEST(Json, SyntaxErrorsNameLineAndColumn) {
  try {
    parse_json("{\n  \"a\": 1,\n  \"b\": }", "file.json");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.where(), "file.json:3:8");
  }
}

TEST(Json, NestingHasALimit) {
  EXPECT_NO_THROW(parse_json(std::string(100, '[') + std::string(100, ']'), "x"));
  EXPECT_THROW(parse_json(std::string(101, '[') + std::string(101, ']'), "x"), FormatError);
  EXPECT_THROW(parse_json(std::string(1'000'000, '['), "x"), FormatError);
}

TEST(Json, AnyCutOrChangedByteIsAnErrorOrAValue) {
  const std::string text = R"({"a": [1, -2.5e3, "ä\u00e4\"", {"b": null}], "c": true})";
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THROW(parse_json(text.substr(0, size), "x"), FormatError) << size;
  }
  for (std::size_t position = 0; position < text.size(); ++position) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[position] = static_cast<char>(byte);
      try {
        const JsonValue value = parse_json(changed, "x").root;
        EXPECT_EQ(json_text(parse_json(json_text(value), "x").root), json_text(value));
      } catch (const FormatError&) {
      }
    }
  }
}

TEST(Json, ANulIsRefusedWithItsPlaceWhereverItStands) {
  for (const std::string_view text :
       {std::string_view("{\"a\": 1}\0", 9),
        std::string_view("{\"a\": 1}\0{\"b\": 2}", 17),
        std::string_view("\0{}", 3),
        std::string_view("{\"a\0\": 1}", 9)}) {
    try {
      parse_json(text, "file.json");
      FAIL() << text;
    } catch (const FormatError& error) {
      EXPECT_NE(error.rule().find("NUL"), std::string::npos) << error.what();
      EXPECT_EQ(error.where(), "file.json:1:" + std::to_string(text.find('\0') + 1));
    }
  }
}

TEST(JsonMembers, AreHandedOverInOrderAndNotKept) {
  std::string seen;
  parse_json_members(
      R"({"a": {"x": [1, 2]}, "b": "t", "c": []})", "x", 3, [&](const JsonMember& member) {
        seen += member.key + "=" + json_text(member.value, 0) + ";";
      });
  EXPECT_EQ(seen, R"(a={"x": [1, 2]};b="t";c=[];)");
}

TEST(JsonMembers, RefuseWhatIsNoObjectAnyKeyTwiceAndMembersThatAreTooLarge) {
  const auto rule_of = [](std::string_view text) {
    try {
      parse_json_members(text, "x", 3, [](const JsonMember&) {});
    } catch (const FormatError& error) {
      return error.rule();
    }
    return std::string();
  };
  EXPECT_NE(rule_of("[1]").find("one JSON object"), std::string::npos);
  EXPECT_NE(rule_of("{\"a\": 1, \"a\": 2}").find("twice"), std::string::npos);
  EXPECT_NE(rule_of("{\"a\": [1, 2, 3, 4]}").find("more than 3 values"), std::string::npos);
  EXPECT_NE(rule_of("{\"a\": {\"b\": [1, 2, 3]}}").find("more than 3"), std::string::npos);
  EXPECT_EQ(rule_of("{\"a\": [1, 2, 3], \"b\": [1, 2, 3]}"), "");
}

} // namespace
} // namespace fcc
