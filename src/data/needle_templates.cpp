// The wordings of needles, and where they are read from.
#include <array>
#include <filesystem>
#include <utility>

#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/data/task.h"
#include "fcc/io/files.h"

namespace fcc {

template <typename Visitor>
void visit(Visitor& v, NeedleTemplate& c) {
  v.field("intro", c.intro, {.doc = "Stands first."});
  v.field("needle", c.needle, {.doc = "Tells {key}, of {name}.", .required = true});
  v.field("question", c.question, {.doc = "Asks for one value.", .required = true});
  v.field("questions", c.questions, {.doc = "Asks for several values."});
}

namespace {

struct NamedTemplate {
  const char* name;
  NeedleTemplate texts;
};

const std::vector<NamedTemplate>& named_templates() {
  static const std::vector<NamedTemplate> templates = {
      {"ruler", // arXiv 2404.06654, appendix
       {"Some special magic {kind}s are hidden within the following text. Make sure to memorize "
        "it. I will quiz you about the {kind}s afterwards.",
        "One of the special magic {kind}s for {name} is: {key}.",
        "What is the special magic {kind} for {name} mentioned in the provided text? The special "
        "magic {kind} for {name} mentioned in the provided text is",
        "What are all the special magic {kind}s for {name} mentioned in the provided text? The "
        "special magic {kind}s for {name} mentioned in the provided text are"}},
      {"passkey", // arXiv 2405.04620, appendix C
       {"There is a critical piece of information hidden within a large amount of irrelevant text. "
        "Your task is to locate it and remember it carefully. I will test your ability to recall "
        "this information.",
        "The passkey is {key}. Remember it carefully. {key} is the passkey.",
        "What is the passkey? The passkey is",
        ""}},
      {"museum",
       {"",
        "Visitors find the exhibit {name} in the room marked {key}.",
        "Where do visitors find the exhibit {name}? They find the exhibit {name} in the room "
        "marked",
        "Where do visitors find the exhibits {name}? They find them in the rooms marked"}},
      {"radio",
       {"",
        "Over the radio, station {name} answers to the call sign {key}.",
        "Which call sign does station {name} answer to? Over the radio, station {name} answers to "
        "the call sign",
        "Which call signs do the stations {name} answer to? They answer to the call signs"}},
      {"letter",
       {"",
        "By the way, if you ever meet {name}, greet them with {key}.",
        "How should one greet {name}? If you ever meet {name}, greet them with",
        "How should one greet {name}? If you ever meet them, greet them with"}}};
  return templates;
}

} // namespace

std::vector<std::string> needle_template_names() {
  std::vector<std::string> names;
  for (const NamedTemplate& each : named_templates()) {
    names.emplace_back(each.name);
  }
  return names;
}

NeedleTemplate needle_template(const std::string& name_or_file) {
  std::string names;
  for (const NamedTemplate& each : named_templates()) {
    if (each.name == name_or_file) {
      return each.texts;
    }
    names += std::string(each.name) + ", ";
  }
  if (!std::filesystem::exists(name_or_file)) {
    throw ConfigError("template", "must be " + names + "or a file", name_or_file);
  }
  return read_config<NeedleTemplate>(read_file(name_or_file), name_or_file);
}

} // namespace fcc
