#include "data/task_words.h"

#include <array>
#include <string_view>

#include "data/text_pieces.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr std::array<std::string_view, 48> kAdjectives = {
    "ancient", "bitter", "brave",   "calm",   "careful", "clever", "cold",   "cosmic",
    "curious", "dusty",  "eager",   "early",  "faint",   "fancy",  "fierce", "foggy",
    "gentle",  "giant",  "golden",  "grumpy", "hasty",   "hollow", "honest", "humble",
    "icy",     "jolly",  "keen",    "lively", "lonely",  "loud",   "mellow", "mighty",
    "misty",   "modest", "muddy",   "narrow", "noble",   "plain",  "proud",  "quiet",
    "rapid",   "rusty",  "shallow", "silent", "sleepy",  "steep",  "tidy",   "wooden"};

constexpr std::array<std::string_view, 48> kNouns = {
    "acorn",   "album",   "alley",   "badge",  "balcony", "banjo",    "barrel", "bishop",
    "blanket", "border",  "bronze",  "cactus", "canoe",   "cavern",   "cello",  "chapel",
    "cliff",   "cobbler", "comet",   "cradle", "dagger",  "doctor",   "elbow",  "emerald",
    "farmer",  "ferry",   "finch",   "galaxy", "goblet",  "hedge",    "heron",  "igloo",
    "jungle",  "kitten",  "lizard",  "magnet", "mansion", "monument", "nephew", "outpost",
    "parrot",  "pebble",  "prairie", "puzzle", "rocket",  "scholar",  "turnip", "walnut"};

} // namespace

std::string draw_digits(std::int64_t num_digits, Random& random) {
  const std::string first = draw_from("123456789", 1, random);
  return first + draw_from("0123456789", num_digits - 1, random);
}

std::string draw_word_pair(Random& random) {
  const auto adjective = static_cast<std::size_t>(random.below(kAdjectives.size()));
  const auto noun = static_cast<std::size_t>(random.below(kNouns.size()));
  return std::string(kAdjectives[adjective]) + "-" + std::string(kNouns[noun]);
}

std::string draw_plain_word(Random& random) {
  const auto which = static_cast<std::size_t>(random.below(kAdjectives.size() + kNouns.size()));
  return std::string(
      which < kAdjectives.size() ? kAdjectives[which] : kNouns[which - kAdjectives.size()]);
}

std::string draw_uuid(Random& random) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = draw_from(kHex, 8, random);
  text += std::string("-") + draw_from(kHex, 4, random);
  text += std::string("-4") + draw_from(kHex, 3, random);
  text += std::string("-") + draw_from("89ab", 1, random) + draw_from(kHex, 3, random);
  text += std::string("-") + draw_from(kHex, 12, random);
  return text;
}

std::string draw_variable(Random& random) {
  return draw_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 5, random);
}

} // namespace fcc
