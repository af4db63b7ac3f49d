// Stories are answered here by a reader of the sentences, who knows nothing of the generator.
#include "data/story.h"

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text.substr(0, text.size() - 1)); // without the mark at the end
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  return words;
}

/// The places of each thing, in order, and of each person, the last.
struct Reading {
  std::map<std::string, std::string> where, holder;
  std::map<std::string, std::vector<std::string>> been;
};

Reading read(const std::vector<std::string>& facts) {
  Reading reading;
  for (const std::string& fact : facts) {
    const std::vector<std::string> words = words_of(fact);
    const std::string &who = words.front(), &last = words.back();
    if (fact.find(" to the ") != std::string::npos) {
      reading.where[who] = last;
      for (const auto& [thing, holder] : reading.holder) {
        if (holder == who) {
          reading.been[thing].push_back(last);
        }
      }
    } else if (words[1] == "took" || words[1] == "picked" || words[1] == "grabbed") {
      EXPECT_EQ(reading.holder[last], "") << "taken from somebody: " << fact;
      if (!reading.been[last].empty()) {
        EXPECT_EQ(reading.been[last].back(), reading.where[who]) << "taken from afar: " << fact;
      } else {
        reading.been[last].push_back(reading.where[who]);
      }
      EXPECT_NE(reading.where[who], "");
      reading.holder[last] = who;
    } else {
      EXPECT_EQ(reading.holder[last], who) << "put down what is not held: " << fact;
      reading.holder[last] = "";
    }
  }
  return reading;
}

template <typename Check>
void each_story(StoryKind kind, std::int64_t num_facts, Check check) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    const Story story = draw_story(kind, num_facts, random);
    EXPECT_EQ(story.facts.size(), static_cast<std::size_t>(num_facts));
    check(story);
    Random same(seed);
    EXPECT_EQ(draw_story(kind, num_facts, same).question, story.question);
  }
}

TEST(Story, OfOneFactTellsWhereSomebodyIs) {
  each_story(StoryKind::kOneFact, 8, [](const Story& story) {
    Reading reading = read(story.facts);
    EXPECT_EQ(reading.where[words_of(story.question)[2]], story.answer) << story.question;
  });
}

TEST(Story, OfTwoFactsTellsWhereSomethingIsThatIsCarried) {
  each_story(StoryKind::kTwoFacts, 12, [](const Story& story) {
    Reading reading = read(story.facts);
    EXPECT_EQ(reading.been[words_of(story.question)[3]].back(), story.answer) << story.question;
  });
}

TEST(Story, OfThreeFactsTellsWhereSomethingWasBefore) {
  each_story(StoryKind::kThreeFacts, 20, [](const Story& story) {
    const std::vector<std::string> question = words_of(story.question);
    const std::vector<std::string> been = read(story.facts).been[question[3]];
    ASSERT_GE(been.size(), 2U);
    EXPECT_EQ(been.back(), question[6]);
    EXPECT_EQ(been[been.size() - 2], story.answer) << story.question;
  });
}

TEST(Story, OfTwoArgumentsHasTheAnswerOppositeToWhatIsAskedFor) {
  each_story(StoryKind::kTwoArguments, 2, [](const Story& story) {
    const std::vector<std::string> question = words_of(story.question);
    const bool which_is = question.back() != "of"; // What is north of the X?
    const std::string name = which_is ? question.back() : question[3];
    int found = 0;
    for (const std::string& fact : story.facts) { // The A is north of the B.
      const std::vector<std::string> words = words_of(fact);
      if (words[which_is ? 6 : 1] == name) {
        ++found;
        EXPECT_EQ(words[which_is ? 1 : 6], story.answer);
      }
    }
    EXPECT_EQ(found, 1);
  });
}

TEST(Story, OfThreeArgumentsHasOneGiftThatFitsTheQuestion) {
  each_story(StoryKind::kThreeArguments, 10, [](const Story& story) {
    const std::vector<std::string> question = words_of(story.question);
    int found = 0;
    for (const std::string& fact : story.facts) { // A gave the T to B.
      const std::vector<std::string> words = words_of(fact);
      if (words[1] != "gave") {
        continue;
      }
      const std::string &from = words[0], &what = words[3], &to = words[5];
      if (question[1] == "gave" && question[3] == what &&
          question[5] == to) { // Who gave the T to B
        ++found;
        EXPECT_EQ(from, story.answer);
      } else if (question[0] == "What" && question[2] == from && question[5] == to) {
        ++found;
        EXPECT_EQ(what, story.answer);
      } else if (question[1] == "did" && question[2] == from && question[5] == what) {
        ++found;
        EXPECT_EQ(to, story.answer);
      }
    }
    EXPECT_EQ(found, 1) << story.question;
  });
}

TEST(Story, OfTooFewOrTooManySentencesIsRefused) {
  Random random(1);
  EXPECT_THROW(draw_story(StoryKind::kOneFact, 0, random), ConfigError);
  EXPECT_THROW(draw_story(StoryKind::kTwoFacts, 1, random), ConfigError);
  EXPECT_THROW(draw_story(StoryKind::kThreeFacts, 2, random), ConfigError);
  EXPECT_THROW(draw_story(StoryKind::kTwoArguments, 6, random), ConfigError);
}

} // namespace
} // namespace fcc
