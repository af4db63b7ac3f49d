#include "data/recall_words.h"

#include <array>
#include <cstdint>
#include <string_view>

#include "data/text_pieces.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr std::array<std::string_view, 96> kNouns = {
    "anchor",   "apple",   "arrow",   "basket",  "beacon", "bell",    "birch",  "boat",    "bottle",
    "branch",   "bridge",  "brush",   "bucket",  "button", "cabin",   "camera", "candle",  "canyon",
    "carpet",   "castle",  "cellar",  "chair",   "cherry", "circle",  "clock",  "cloud",   "copper",
    "coral",    "cotton",  "crane",   "crystal", "desert", "diamond", "door",   "dragon",  "drum",
    "eagle",    "engine",  "falcon",  "feather", "fence",  "field",   "flame",  "flute",   "forest",
    "fountain", "garden",  "glacier", "glass",   "hammer", "harbor",  "hazel",  "helmet",  "hill",
    "horse",    "island",  "ivory",   "jacket",  "kettle", "ladder",  "lagoon", "lantern", "lemon",
    "lily",     "maple",   "marble",  "meadow",  "mirror", "moon",    "needle", "oak",     "ocean",
    "olive",    "orchard", "otter",   "palace",  "paper",  "pepper",  "piano",  "pillow",  "planet",
    "pocket",   "quarry",  "rabbit",  "raven",   "river",  "saddle",  "sailor", "shadow",  "silver",
    "spoon",    "summit",  "temple",  "tunnel",  "violin", "willow"};

constexpr std::array<std::string_view, 16> kOnsets =
    {"b", "br", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "tr", "v", "z"};
constexpr std::array<std::string_view, 8> kVowels = {"a", "e", "i", "o", "u", "ai", "ea", "ou"};
constexpr std::array<std::string_view, 8> kEnds = {"", "", "n", "r", "l", "s", "th", "ck"};

template <std::size_t size>
std::string pick(const std::array<std::string_view, size>& from, Random& random) {
  return std::string(from[static_cast<std::size_t>(random.below(size))]);
}

std::string pseudo_word(Random& random) {
  std::string word;
  const std::int64_t syllables = 2 + random.below(2);
  for (std::int64_t i = 0; i < syllables; ++i) {
    word += pick(kOnsets, random) + pick(kVowels, random);
  }
  return word + pick(kEnds, random);
}

std::string capitalized(std::string word) {
  word.front() = static_cast<char>(word.front() - 'a' + 'A');
  return word;
}

} // namespace

const std::vector<RecallTemplate>& recall_templates() {
  static const std::vector<RecallTemplate> templates = {
      {"The passkey is {key}. Remember it carefully. {key} is the passkey.",
       "What is the passkey? The passkey is"},
      {"The {kind} of {name} is {key}. Remember it.",
       "What is the {kind} of {name}? The {kind} of {name} is"},
      {"The {kind} for {name} is {key}.", "The {kind} for {name} is"},
      {"Note: {kind} {name} = {key}.", "Note: {kind} {name} ="},
      {"Remember that the {kind} given to {name} was {key}.",
       "Which {kind} was given to {name}? The {kind} given to {name} was"},
      {"{name} has the {kind} {key}.", "{name} has the {kind}"},
      {"The {kind} of the {name} account has been set to {key}.",
       "Question: what is the {kind} of the {name} account?\nAnswer:"},
      {"To open the {name} door, use the {kind} {key}.",
       "Which {kind} opens the {name} door? Use the {kind}"},
      {"{name}: {key}", "{name}:"},
      {"My friend {name} told me a {kind} yesterday: {key}.",
       "Which {kind} did {name} tell me? It was"},
      {"const {name} = \"{key}\";", "The value of the constant {name} is"},
      {"Here is something important: the {kind} called {name} reads {key}. Keep it in mind.",
       "Q: What does the {kind} called {name} read?\nA:"},
      {"The {kind} printed on the {name} reads {key}.", "The {kind} printed on the {name} reads"},
      {"Please store this entry. Key: {name}. Value: {key}.", "Key: {name}. Value:"},
      {"In the ledger, {name} is recorded under {kind} {key}.",
       "In the ledger, {name} is recorded under {kind}"},
      {"According to the report, the {kind} belonging to {name} was {key}.",
       "What was the {kind} belonging to {name}, according to the report? It was"},
      {"A secret: {key} is the {kind} of {name}.", "Tell me the secret {kind} of {name}:"},
      {"IMPORTANT!!! {name} ({kind}): {key}", "The {kind} noted for {name} as important is"},
      {"Somebody wrote on the wall that one {kind} for {name} is: {key}.",
       "What {kind} for {name} was written on the wall? The {kind} for {name} on the wall is"},
      {"{key} - that is the {kind} which {name} must never forget.",
       "The {kind} which {name} must never forget is"},
      {"I assign the {kind} {key} to {name}.", "I assigned to {name} the {kind}"},
      {"Among the many things here, {name} stands for the {kind} {key}.",
       "In the text above, {name} stands for the {kind}"},
      {"You will be asked about this later: the {kind} of {name} equals {key}.",
       "As mentioned in the text, the {kind} of {name} equals"},
      {"<{name}>{key}</{name}>", "The content of the tag {name} is"}};
  return templates;
}

std::string draw_recall_kind(Random& random) {
  static constexpr std::array<std::string_view, 24> kKinds = {
      "passkey",       "access code", "number",    "password",    "PIN",          "code word",
      "token",         "identifier",  "lock code", "extension",   "seat",         "room",
      "serial number", "badge",       "reference", "code",        "lucky number", "secret word",
      "address",       "key",         "answer",    "combination", "label",        "value"};
  return pick(kKinds, random);
}

const std::vector<std::string>& recall_fillers() {
  static const std::vector<std::string> fillers = {
      " The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.",
      " Rain fell on the roof all night. In the morning the street was wet, and nobody was out.",
      " One day follows another. The shop opens at nine. The bus is late. People wait and talk.",
      " Nothing of interest is written here. Read on. Nothing of interest is written here either.",
      " The train runs along the coast. Waves roll in and out. A gull sits on the old wooden post.",
      " Add the flour, stir, and let it rest. Then add water, stir again, and let it rest again.",
      "\nline 1: ok\nline 2: ok\nline 3: skipped\nline 4: ok\nline 5: ok, no further action "
      "needed"};
  return fillers;
}

std::string draw_recall_name(Random& random) {
  switch (random.below(4)) {
    case 0:
      return pick(kNouns, random) + " " + pick(kNouns, random);
    case 1:
      return pick(kNouns, random) + "-" + pseudo_word(random);
    case 2:
      return pseudo_word(random);
    default:
      return capitalized(pseudo_word(random));
  }
}

std::string draw_recall_noun(Random& random) {
  return pick(kNouns, random);
}

std::string draw_capitalized_word(Random& random) {
  return capitalized(pseudo_word(random));
}

std::string draw_recall_value(Random& random) {
  switch (random.below(8)) {
    case 0:
      return pseudo_word(random);
    case 1:
      return pick(kNouns, random) + "-" + pick(kNouns, random);
    case 2: {
      std::string hex = draw_from("0123456789abcdef", 6 + random.below(7), random);
      for (std::int64_t groups = random.below(3); groups > 0; --groups) {
        hex += '-';
        hex += draw_from("0123456789abcdef", 4, random);
      }
      return hex;
    }
    default: {
      const std::string first = draw_from("123456789", 1, random);
      return first + draw_from("0123456789", 2 + random.below(6), random);
    }
  }
}

} // namespace fcc
