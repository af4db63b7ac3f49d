#include "data/story.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr std::array<std::string_view, 4> kPeople = {"Anna", "Boris", "Clara", "David"};
constexpr std::array<std::string_view, 6> kPlaces =
    {"attic", "cellar", "garden", "kitchen", "library", "workshop"};
constexpr std::array<std::string_view, 4> kThings = {"apple", "ball", "lamp", "map"};
constexpr std::array<std::string_view, 4> kGoing = {"went", "walked", "moved", "hurried"};
constexpr std::array<std::string_view, 3> kTaking = {"took", "picked up", "grabbed"};
constexpr std::array<std::string_view, 3> kLeaving = {"left", "put down", "dropped"};
constexpr std::array<std::string_view, 4> kDirections = {"north", "south", "east", "west"};

constexpr std::size_t kNobody = kPeople.size(), kNowhere = kPlaces.size();

template <std::size_t size>
std::size_t draw(const std::array<std::string_view, size>& /*from*/, Random& random) {
  return static_cast<std::size_t>(random.below(static_cast<std::int64_t>(size)));
}

template <std::size_t size>
std::string draw_word(const std::array<std::string_view, size>& from, Random& random) {
  return std::string(from[draw(from, random)]);
}

/// One of `from`, which is not empty.
std::size_t draw_one(const std::vector<std::size_t>& from, Random& random) {
  return from[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(from.size())))];
}

std::string person(std::size_t which) {
  return std::string(kPeople.at(which));
}
std::string place(std::size_t which) {
  return std::string(kPlaces.at(which));
}
std::string thing(std::size_t which) {
  return std::string(kThings.at(which));
}

/// Who is where, and what has been where: as far as the facts have told.
class World {
 public:
  explicit World(Random& random) : random_(random) {
    where_.fill(kNowhere);
    holder_.fill(kNobody);
  }

  std::string go(std::size_t who) {
    std::size_t to = draw(kPlaces, random_);
    while (to == where_[who]) {
      to = draw(kPlaces, random_);
    }
    where_[who] = to;
    for (std::size_t what = 0; what < kThings.size(); ++what) {
      if (holder_[what] == who) {
        been_[what].push_back(to);
      }
    }
    return person(who) + " " + draw_word(kGoing, random_) + " to the " + place(to) + ".";
  }

  /// Somebody takes a thing, puts one down or goes, whatever is possible.
  std::string act() {
    const std::size_t who = draw(kPeople, random_), what = draw(kThings, random_);
    const bool lies_there = been_[what].empty() || been_[what].back() == where_[who];
    if (where_[who] != kNowhere && holder_[what] == kNobody && lies_there) {
      holder_[what] = who;
      if (been_[what].empty()) {
        been_[what].push_back(where_[who]);
      }
      return person(who) + " " + draw_word(kTaking, random_) + " the " + thing(what) + ".";
    }
    constexpr std::int64_t kSeldom = 3; // things are carried about for a while
    if (holder_[what] == who && random_.below(kSeldom) == 0) {
      holder_[what] = kNobody;
      return person(who) + " " + draw_word(kLeaving, random_) + " the " + thing(what) + ".";
    }
    return go(who);
  }

  std::size_t where(std::size_t who) const {
    return where_.at(who);
  }
  /// The places where a thing has been, the last one last; empty: nobody has told.
  const std::vector<std::size_t>& been(std::size_t what) const {
    return been_.at(what);
  }

 private:
  Random& random_;
  std::array<std::size_t, kPeople.size()> where_{};
  std::array<std::size_t, kThings.size()> holder_{};
  std::array<std::vector<std::size_t>, kThings.size()> been_;
};

Story where_somebody_is(std::int64_t num_facts, Random& random) {
  World world(random);
  Story story;
  for (std::int64_t i = 0; i < num_facts; ++i) {
    story.facts.push_back(world.go(draw(kPeople, random)));
  }
  std::vector<std::size_t> known;
  for (std::size_t who = 0; who < kPeople.size(); ++who) {
    if (world.where(who) != kNowhere) {
      known.push_back(who);
    }
  }
  const std::size_t asked = draw_one(known, random);
  story.question = std::string("Where is ") + person(asked) + "?";
  story.answer = place(world.where(asked));
  return story;
}

/// Where a thing is, or was before it came to where it is.
std::optional<Story> where_a_thing_is(std::int64_t num_facts, bool before, Random& random) {
  World world(random);
  Story story;
  for (std::int64_t i = 0; i < num_facts; ++i) {
    story.facts.push_back(world.act());
  }
  std::vector<std::size_t> known;
  for (std::size_t what = 0; what < kThings.size(); ++what) {
    const std::vector<std::size_t>& been = world.been(what);
    const bool once = !been.empty() && std::count(been.begin(), been.end(), been.back()) == 1;
    if (before ? once && been.size() > 1 : !been.empty()) {
      known.push_back(what);
    }
  }
  if (known.empty()) {
    return std::nullopt;
  }
  const std::size_t asked = draw_one(known, random);
  const std::vector<std::size_t>& been = world.been(asked);
  story.question = before ? std::string("Where was the ") + thing(asked) + " before the " +
                                place(been.back()) + "?"
                          : std::string("Where is the ") + thing(asked) + "?";
  story.answer = place(before ? been[been.size() - 2] : been.back());
  return story;
}

/// Places in a row, each pair of neighbours a fact, told in any order.
std::optional<Story> what_lies_where(std::int64_t num_facts, Random& random) {
  if (num_facts < 2 || num_facts >= static_cast<std::int64_t>(kPlaces.size())) {
    return std::nullopt;
  }
  const auto shuffle = [&](auto& items) {
    for (std::size_t i = items.size() - 1; i > 0; --i) {
      std::swap(
          items[i],
          items[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i + 1)))]);
    }
  };
  std::array<std::string_view, kPlaces.size()> row = kPlaces;
  shuffle(row);
  const std::string of = std::string(" ") + draw_word(kDirections, random) + " of ";
  Story story;
  for (std::size_t i = 0; i < static_cast<std::size_t>(num_facts); ++i) {
    std::string fact = std::string("The ") + std::string(row[i]);
    fact += std::string(" is") + of + "the " + std::string(row[i + 1]) + ".";
    story.facts.push_back(std::move(fact));
  }
  shuffle(story.facts);
  const auto asked = 1 + static_cast<std::size_t>(random.below(num_facts - 1));
  const std::string name(row[asked]);
  const bool which_is = random.below(2) == 0;
  story.question = which_is
                       ? std::string("What is") + of + "the " + name + "?"
                       : std::string("What is the ") + name + of.substr(0, of.size() - 1) + "?";
  story.answer = row[which_is ? asked - 1 : asked + 1];
  return story;
}

struct Gift {
  std::size_t from, what, to;
};

/// Things that change hands among people who move about.
std::optional<Story> who_gave_what(std::int64_t num_facts, Random& random) {
  World world(random);
  Story story;
  std::vector<Gift> gifts;
  for (std::int64_t i = 0; i < num_facts; ++i) {
    if (random.below(2) == 0) {
      story.facts.push_back(world.go(draw(kPeople, random)));
      continue;
    }
    Gift gift{draw(kPeople, random), draw(kThings, random), draw(kPeople, random)};
    // A thing is given by who received it last.
    const auto last = std::find_if(
        gifts.rbegin(), gifts.rend(), [&](const Gift& other) { return other.what == gift.what; });
    gift.from = last == gifts.rend() ? gift.from : last->to;
    if (gift.from == gift.to) {
      gift.to = (gift.to + 1) % kPeople.size();
    }
    story.facts.push_back(
        person(gift.from) + " gave the " + thing(gift.what) + " to " + person(gift.to) + ".");
    gifts.push_back(gift);
  }
  if (gifts.empty()) {
    return std::nullopt;
  }
  const Gift asked =
      gifts[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(gifts.size())))];
  const std::int64_t form = random.below(3);
  const auto fits = std::count_if(gifts.begin(), gifts.end(), [&](const Gift& gift) {
    return (form == 0 || gift.from == asked.from) && (form == 1 || gift.what == asked.what) &&
           (form == 2 || gift.to == asked.to);
  });
  if (fits != 1) {
    return std::nullopt;
  }
  const std::string from = person(asked.from), what = thing(asked.what), to = person(asked.to);
  if (form == 0) {
    story.question = std::string("Who gave the ") + what + " to " + to + "?";
  } else if (form == 1) {
    story.question = std::string("What did ") + from + " give to " + to + "?";
  } else {
    story.question = std::string("Who did ") + from + " give the " + what + " to?";
  }
  story.answer = form == 0 ? from : form == 1 ? what : to;
  return story;
}

std::optional<Story> try_story(StoryKind kind, std::int64_t num_facts, Random& random) {
  switch (kind) {
    case StoryKind::kTwoFacts:
      return where_a_thing_is(num_facts, /*before=*/false, random);
    case StoryKind::kThreeFacts:
      return where_a_thing_is(num_facts, /*before=*/true, random);
    case StoryKind::kTwoArguments:
      return what_lies_where(num_facts, random);
    case StoryKind::kThreeArguments:
      return who_gave_what(num_facts, random);
    default:
      return where_somebody_is(num_facts, random);
  }
}

} // namespace

Story draw_story(StoryKind kind, std::int64_t num_facts, Random& random) {
  constexpr int kMostDraws = 10000;
  for (int i = 0; num_facts > 0 && i < kMostDraws; ++i) {
    if (std::optional<Story> story = try_story(kind, num_facts, random)) {
      return std::move(*story);
    }
  }
  throw ConfigError(
      "task option facts",
      "must be a number of sentences that such a story can have",
      std::to_string(num_facts),
      kind == StoryKind::kTwoArguments ? "2 to 5" : "take more");
}

} // namespace fcc
