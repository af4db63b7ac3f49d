#include "data/recall_facts.h"

#include <array>
#include <cstdint>
#include <string_view>

#include "data/recall_words.h"
#include "data/text_pieces.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

using Texts = std::initializer_list<std::string_view>;

std::string pick(Texts texts, Random& random) {
  return std::string(texts.begin()[random.below(static_cast<std::int64_t>(texts.size()))]);
}

std::string digits(std::int64_t count, Random& random) {
  return draw_from("123456789", 1, random) + draw_from("0123456789", count - 1, random);
}

std::string hexadecimal(Random& random) {
  if (random.below(2) == 0) { // grouped as a UUID is
    std::string text = draw_from("0123456789abcdef", 8, random);
    for (const std::int64_t size : {4, 4, 4, 12}) {
      text += "-" + draw_from("0123456789abcdef", size, random);
    }
    return text;
  }
  return draw_from("0123456789abcdef", 4 + random.below(29), random);
}

std::string person(Random& random) {
  const std::string title =
      pick({"", "", "Mr. ", "Mrs. ", "Captain ", "Professor ", "Aunt "}, random);
  const std::string name = draw_capitalized_word(random);
  return title.empty() && random.below(2) == 0 ? name + " " + draw_capitalized_word(random)
                                               : title + name;
}

// What a fact may be about: a person, a place, a thing, a file, a number of its own.
std::string subject(Random& random) {
  switch (random.below(7)) {
    case 0:
      return person(random);
    case 1:
      return pick({"the town of ", "the village of ", "the port of ", "the house "}, random) +
             draw_capitalized_word(random);
    case 2:
      return pick({"order ", "ticket ", "invoice ", "patient ", "room ", "case "}, random) +
             digits(2 + random.below(5), random);
    case 3:
      return draw_recall_noun(random) + pick({".txt", ".conf", ".json", "_id", "_key"}, random);
    case 4:
      return "the " +
             pick({"old", "red", "new", "small", "broken", "second", "quiet", "heavy"}, random) +
             " " + draw_recall_noun(random);
    case 5:
      return hexadecimal(random);
    default:
      return draw_recall_name(random);
  }
}

std::string value(Random& random) {
  switch (random.below(10)) {
    case 0:
    case 1:
      return hexadecimal(random);
    case 2:
      return draw_capitalized_word(random);
    case 3:
      return draw_recall_noun(random);
    case 4:
      return draw_recall_noun(random) + pick({" ", "-"}, random) + draw_recall_noun(random);
    case 5:
      return draw_recall_value(random);
    case 6:
      return pick({"March ", "April ", "June ", "July ", "October ", "December "}, random) +
             std::to_string(1 + random.below(28)) + ", " + std::to_string(1500 + random.below(520));
    default:
      return digits(1 + random.below(10), random);
  }
}

// What stands around a fact that is told, and around a question.
std::string framed(const std::string& told, Random& random) {
  const std::string before = pick(
      {"",
       "",
       "",
       "Note: ",
       "Remember: ",
       "By the way, ",
       "* ",
       "(",
       "\"",
       "// ",
       "- ",
       "P.S. ",
       "It is known that ",
       "As far as I know, ",
       "They say that ",
       "Please keep in mind: ",
       "Reminder: ",
       "Somewhere it is written that ",
       "Let it be noted that ",
       "\n\n",
       "\n# "},
      random);
  const std::string after = before == "(" ? ")" : before == "\"" ? "\"" : "";
  return before + told + after +
         pick(
             {"",
              "",
              "",
              " Remember it.",
              " Do not forget it.",
              " This will be asked for.",
              " Keep it in mind.",
              " That is all.",
              " Write it down.",
              "\n\n"},
             random);
}

// `says_what`: the sentence that the answer completes says by itself what is asked for.
std::string asked(
    const std::string& question,
    const std::string& answer_begins,
    Random& random,
    bool says_what = true) {
  const std::string before = pick(
      {"",
       "",
       "",
       "Question: ",
       "Q: ",
       "\n\n",
       "\n",
       "Now tell me: ",
       "According to the text, ",
       "From what was said above: ",
       "Try to remember. ",
       "A question about the text: "},
      random);
  switch (random.below(4)) {
    case 0:
      return before + question + pick({"\nAnswer:", " Answer:", "\nA:", "\n"}, random);
    case 1:
      return before + (says_what ? answer_begins : question + " " + answer_begins);
    default:
      return before + question + " " + answer_begins;
  }
}

// "SUBJECT's THING is VALUE", in many forms.
RecallFact property(Random& random) {
  const std::string who = subject(random), kind = draw_recall_kind(random), what = value(random);
  const std::string verb = pick({"is", "was", "equals", "reads", "will be"}, random);
  const std::string of = pick({"of", "for", "belonging to", "given to", "of", "for"}, random);
  const std::string owned = "the " + kind + " " + of + " " + who;
  const std::string told = [&] {
    switch (random.below(6)) {
      case 0:
        return what + " is " + owned + ".";
      case 1:
        return who + " has the " + kind + " " + what + ".";
      case 2:
        return "one " + kind + " " + of + " " + who + " " + verb + " " + what + ".";
      case 3:
        return who + pick({": ", " = ", " -> ", "\t", " | "}, random) + what;
      case 4:
        return owned + " " + verb + ": " + what + ".";
      default:
        return owned + " " + verb + " " + what + ".";
    }
  }();
  const std::string question = pick({"What is ", "Tell me ", "Do you recall ", "Find "}, random) +
                               owned + pick({"?", "?", " in the text?"}, random);
  const bool in_full = random.below(2) == 0;
  const std::string answer = (in_full ? owned : pick({"It", "The answer", "That"}, random)) + " is";
  return {framed(told, random), asked(question, answer, random, in_full), what};
}

// A sentence about somebody: "Captain Brool sold 412 lanterns in Tarive."
RecallFact event(Random& random) {
  const std::string who = person(random), noun = draw_recall_noun(random) + "s";
  const std::string where = random.below(2) == 0 ? "" : " in " + draw_capitalized_word(random);
  static constexpr std::array<std::array<std::string_view, 2>, 10> kVerbs = {
      {{"sold", "sell"},
       {"counted", "count"},
       {"painted", "paint"},
       {"owned", "own"},
       {"lost", "lose"},
       {"repaired", "repair"},
       {"bought", "buy"},
       {"carried", "carry"},
       {"saw", "see"},
       {"collected", "collect"}}};
  const auto& verb = kVerbs[static_cast<std::size_t>(random.below(kVerbs.size()))];
  const std::string past(verb[0]), present(verb[1]);
  if (random.below(2) == 0) {
    const std::string count = digits(1 + random.below(6), random);
    return {
        framed(who + " " + past + " " + count + " " + noun + where + ".", random),
        asked(
            "How many " + noun + " did " + who + " " + present + where + "?",
            who + " " + past,
            random),
        count};
  }
  const std::string what = value(random);
  switch (random.below(3)) {
    case 0:
      return {
          framed(who + " was born in " + what + ".", random),
          asked("Where or when was " + who + " born?", who + " was born in", random),
          what};
    case 1:
      return {
          framed(who + " called the " + noun + " \"" + what + "\".", random),
          asked(
              "What did " + who + " call the " + noun + "?",
              who + " called the " + noun + ":",
              random),
          what};
    default:
      return {
          framed("A letter for " + who + where + " said: " + what + ".", random),
          asked("What did the letter for " + who + " say?", "It said:", random),
          what};
  }
}

} // namespace

RecallFact compose_recall_fact(Random& random) {
  return random.below(3) == 0 ? event(random) : property(random);
}

} // namespace fcc
