#include <gtest/gtest.h>

#include "fcc/config/run_config.h"
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"

namespace fcc {

struct Inner {
  std::int64_t steps = 3;
  double rate = 0.5;
};

struct Everything {
  bool flag = false;
  std::int64_t integer = 1;
  double number = 0.25;
  std::string text = "t";
  LrSchedule schedule = LrSchedule::kCosine;
  std::optional<std::int64_t> maybe;
  std::vector<std::string> list;
  std::vector<Inner> inners;
  Inner inner;
  IntDistribution distribution = IntDistribution::fixed(1);
};

template <typename Visitor>
void visit(Visitor& v, Inner& c) {
  v.field("steps", c.steps, {.doc = "Steps.", .min = 1, .max = 10});
  v.field("rate", c.rate, {.doc = "Rate.", .min = 0, .above_min = true});
}

template <typename Visitor>
void visit(Visitor& v, Everything& c) {
  v.field("flag", c.flag, {.doc = "Flag."});
  v.field("integer", c.integer, {.doc = "Integer."});
  v.field("number", c.number, {.doc = "Number.", .max = 2});
  v.field("text", c.text, {.doc = "Text."});
  v.field("schedule", c.schedule, {.doc = "Schedule."});
  v.field("maybe", c.maybe, {.doc = "Maybe.", .min = 0});
  v.field("list", c.list, {.doc = "List."});
  v.field("inners", c.inners, {.doc = "Inners."});
  v.field("inner", c.inner, {.doc = "Inner."});
  v.field("distribution", c.distribution, {.doc = "Distribution.", .min = 0, .max = 100});
}

namespace {

Everything read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return read_config<Everything>(text, "run.json", overrides);
}

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ReadConfig, AbsentKeysKeepTheirDefaults) {
  const Everything config = read("{}");
  EXPECT_EQ(config.integer, 1);
  EXPECT_EQ(config.text, "t");
  EXPECT_FALSE(config.maybe);
}

TEST(ReadConfig, ReadsEveryType) {
  const Everything config = read(R"({
    "comment": ["one", "two"], "flag": true, "integer": 9007199254740993, "number": 2,
    "text": "ä\n", "schedule": "constant", "maybe": 0, "list": ["a", "b"],
    "inners": [{"steps": 4, "comment": "x"}, {}], "inner": {"rate": 1e-3}, "distribution": 8})");
  EXPECT_TRUE(config.flag);
  EXPECT_EQ(config.integer, 9007199254740993); // 2^53 + 1 is no double
  EXPECT_EQ(config.number, 2.0);
  EXPECT_EQ(config.text, "ä\n");
  EXPECT_EQ(config.schedule, LrSchedule::kConstant);
  EXPECT_EQ(config.maybe, 0);
  EXPECT_EQ(config.list, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(config.inners.size(), 2U);
  EXPECT_EQ(config.inners[0].steps, 4);
  EXPECT_EQ(config.inners[1].steps, 3);
  EXPECT_EQ(config.inner.rate, 1e-3);
  EXPECT_EQ(config.distribution.values, std::vector<std::int64_t>{8});
}

TEST(ReadConfig, WholeNumbersKeepAll64Bits) {
  EXPECT_EQ(read(R"({"integer": 9223372036854775807})").integer, INT64_MAX);
  EXPECT_EQ(read(R"({"integer": -9223372036854775808})").integer, INT64_MIN);
}

TEST(ReadConfig, NullLeavesAnOptionalAbsent) {
  EXPECT_FALSE(read(R"({"maybe": null})").maybe);
}

struct Bad {
  const char* name;
  const char* text;
  const char* error;
};

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsAnErrorThatNamesPlaceRuleAndValue) {
  EXPECT_EQ(error_of(GetParam().text), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    BadConfig,
    testing::ValuesIn(std::vector<Bad>{
        {"bool_from_number", R"({"flag": 1})", "run.json:1: flag: must be true or false; got 1"},
        {"int_from_float",
         R"({"integer": 5.0})",
         "run.json:1: integer: must be a whole number; got 5.0 (write it without point or "
         "exponent)"},
        {"int_from_exponent",
         R"({"integer": 1e3})",
         "run.json:1: integer: must be a whole number; got 1e3 (write it without point or "
         "exponent)"},
        {"int_from_string",
         R"({"integer": "5"})",
         "run.json:1: integer: must be a whole number; got \"5\""},
        {"int_too_large",
         R"({"integer": 9223372036854775808})",
         "run.json:1: integer: must fit 64 bits; got 9223372036854775808"},
        {"int_far_too_large",
         R"({"integer": 123456789012345678901234567890})",
         "run.json:1: integer: must fit 64 bits; got 123456789012345678901234567890"},
        {"number_above", R"({"number": 2.5})", "run.json:1: number: must be at most 2; got 2.5"},
        {"number_from_bool",
         R"({"number": true})",
         "run.json:1: number: must be a number; got true"},
        {"number_overflow",
         R"({"number": 1e999})",
         "run.json:1:16: must be valid JSON: number overflow parsing '1e999'"},
        {"string_from_list", R"({"text": []})", "run.json:1: text: must be a string; got []"},
        {"null", R"({"text": null})", "run.json:1: text: must be a string; got null"},
        {"enum",
         R"({"schedule": "cosin"})",
         "run.json:1: schedule: must be one of `cosine`, `linear`, `constant`; got \"cosin\""},
        {"list_from_string", R"({"list": "a"})", "run.json:1: list: must be a list; got \"a\""},
        {"list_item", R"({"list": ["a", 2]})", "run.json:1: list.1: must be a string; got 2"},
        {"object_from_list", R"({"inner": []})", "run.json:1: inner: must be an object; got []"},
        {"range",
         R"({"inner": {"steps": 11}})",
         "run.json:1: inner.steps: must be at least 1 and at most 10; got 11"},
        {"above_min",
         R"({"inner": {"rate": 0}})",
         "run.json:1: inner.rate: must be above 0; got 0"},
        {"unknown_key",
         "{\n\"inner\": {\n\"setps\": 5}}",
         "run.json:3: inner.setps: no such key (did you mean `steps`?)"},
        {"unknown_far", R"({"zzzzzzzzzz": 5})", "run.json:1: zzzzzzzzzz: no such key"},
        {"duplicate",
         "{\"flag\": true,\n\"flag\": false}",
         "run.json:2: flag: no key may occur twice in an object (first on line 1)"},
        {"duplicate_deep",
         "{\"inners\": [{}, {\"steps\": 1,\n\n\"steps\": 2}]}",
         "run.json:3: inners.1.steps: no key may occur twice in an object (first on line 1)"},
        {"comment",
         R"({"comment": 5})",
         "run.json:1: comment: must be a string or a list of strings; got 5"},
        {"root", "[]", "run.json:1: must be an object; got []"},
        {"nothing",
         "",
         "run.json:1:1: must be valid JSON: syntax error while parsing value - unexpected end of "
         "input; expected '[', '{', or a literal"},
        {"syntax",
         "{\n  \"flag\": true,\n  oops\n}",
         "run.json:3:3: must be valid JSON: syntax error while parsing object key - invalid "
         "literal; last read: '\"flag\": true,<U+000A>  o'; expected string literal"},
        {"distribution_text",
         R"({"distribution": "8"})",
         "run.json:1: distribution: must be a whole number, a list of them, {\"uniform\": [a, b]} "
         "or {\"log_uniform\": [a, b]}; got \"8\""},
        {"distribution_range",
         R"({"distribution": [1, 200]})",
         "run.json:1: distribution: must be at least 0 and at most 100; got [1, 200]"},
        {"distribution_empty",
         R"({"distribution": []})",
         "run.json:1: distribution: a list must hold at least one number; got []"},
        {"distribution_order",
         R"({"distribution": {"uniform": [5, 2]}})",
         "run.json:1: distribution.uniform: must be [smallest, largest], two whole numbers in this "
         "order; got [5, 2]"},
        {"distribution_log",
         R"({"distribution": {"log_uniform": [0, 2]}})",
         "run.json:1: distribution.log_uniform: `log_uniform` must begin at 1 or above; got [0, 2] "
         "(a share of zeros is `zero_share`)"},
        {"distribution_share",
         R"({"distribution": {"uniform": [1, 2], "zero_share": 1.5}})",
         "run.json:1: distribution.zero_share: must be at least 0 and at most 1; got 1.5"},
        {"distribution_key",
         R"({"distribution": {"uniform": [1, 2], "zero_shar": 0.5}})",
         "run.json:1: distribution.zero_shar: no such key (did you mean `zero_share`?)"},
        {"distribution_none",
         R"({"distribution": {}})",
         "run.json:1: distribution: must have one of `fixed`, `list`, `uniform`, `log_uniform`; "
         "got {}"},
        {"distribution_two",
         R"({"distribution": {"fixed": 1, "list": [2]}})",
         "run.json:1: distribution: must have one of `fixed`, `list`, `uniform`, `log_uniform`; "
         "got {\"fixed\": 1, \"list\": [2]}"}}),
    [](const testing::TestParamInfo<Bad>& row) { return std::string(row.param.name); });

TEST(ReadConfig, AllProblemsComeInOneGoInTheOrderOfTheLines) {
  EXPECT_EQ(
      error_of(
          "{\n\"inner\": {\"steps\": 0,\n\"rat\": 1},\n\"flag\": \"yes\",\n\"integr\": 5}",
          {"text=5", "nubmer=1"}),
      "run.json: 6 problems\n"
      "  run.json:2: inner.steps: must be at least 1 and at most 10; got 0\n"
      "  run.json:3: inner.rat: no such key (did you mean `rate`?)\n"
      "  run.json:4: flag: must be true or false; got \"yes\"\n"
      "  run.json:5: integr: no such key (did you mean `integer`?)\n"
      "  --set text=5: text: must be a string; got 5\n"
      "  --set nubmer=1: nubmer: no such key (did you mean `number`?)");
}

TEST(ReadConfig, LinesAreRightAfterNumbersAtTheirEnd) {
  EXPECT_EQ(
      error_of("{\"list\":\n[\n1\n,\n\"a\"\n,\n2\n]}"),
      "run.json: 2 problems\n"
      "  run.json:3: list.0: must be a string; got 1\n"
      "  run.json:7: list.2: must be a string; got 2");
}

TEST(ReadConfig, UnknownKeysOfOthersCanBeIgnored) {
  const auto config = read_config<Everything>(
      R"({"integer": 7, "architectures": ["x"], "comment": 3})",
      "config.json",
      {},
      UnknownKeys::kIgnore);
  EXPECT_EQ(config.integer, 7);
}

TEST(Overrides, ReplaceAndAddValues) {
  const Everything config = read(
      R"({"inner": {"steps": 2}, "inners": [{}, {}], "maybe": 5})",
      {"inner.steps=7",
       "inner.rate=0.125",
       "inners.1.steps=9",
       "text=plain words",
       "list=[\"a\"]",
       "maybe=null",
       "distribution={\"uniform\": [1, 4]}",
       "integer=3",
       "integer=4",
       "inners.0={\"rate\": 2}"});
  EXPECT_EQ(config.inner.steps, 7);
  EXPECT_EQ(config.inner.rate, 0.125);
  EXPECT_EQ(config.inners[1].steps, 9);
  EXPECT_EQ(config.inners[0].rate, 2);
  EXPECT_EQ(config.text, "plain words");
  EXPECT_EQ(config.list, std::vector<std::string>{"a"});
  EXPECT_FALSE(config.maybe);
  EXPECT_EQ(config.distribution.kind, IntDistribution::Kind::kUniform);
  EXPECT_EQ(config.integer, 4);
}

TEST(Overrides, AreNamedInErrors) {
  EXPECT_EQ(error_of("{}", {"integer"}), "--set integer: must be KEY=VALUE");
  EXPECT_EQ(error_of("{}", {"=5"}), "--set =5: must be KEY=VALUE");
  EXPECT_EQ(
      error_of("{}", {"inner.setps=5"}),
      "--set inner.setps=5: inner.setps: no such key (did you mean `steps`?)");
  EXPECT_EQ(
      error_of(R"({"inners": [{}]})", {"inners.1.steps=5"}),
      "--set inners.1.steps=5: inners.1: must be an index of the list, which has 1 items; got 1");
  EXPECT_EQ(
      error_of(R"({"text": "a"})", {"text.b=5"}),
      "--set text.b=5: text.b: only objects and lists have keys; `text` is a string");
  EXPECT_EQ(
      error_of("{}", {"inner={\"steps\": 1, \"steps\": 2}"}),
      "--set inner={\"steps\": 1, \"steps\": 2}: inner.steps: no key may occur twice in an object");
}

} // namespace
} // namespace fcc
