#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fcc {

class Random;

/// What a story asks, after the first five tasks of bAbI (arXiv 1502.05698): facts of one, two or
/// three sentences put together, relations of two and of three things.
enum class StoryKind {
  kOneFact = 1,   ///< where somebody is
  kTwoFacts,      ///< where a thing is that somebody carries about
  kThreeFacts,    ///< where it was before it came to a place
  kTwoArguments,  ///< what lies north of what
  kThreeArguments ///< who gave what to whom
};

/// Sentences in their order, a question, and the one word that answers it.
struct Story {
  std::vector<std::string> facts;
  std::string question, answer;
};

/// A story of `num_facts` sentences that answers its question without ambiguity: in a world in
/// which people are somewhere, take things where those are, carry them, and put them down.
/// Errors: `ConfigError` where no such story has that many sentences.
Story draw_story(StoryKind kind, std::int64_t num_facts, Random& random);

} // namespace fcc
