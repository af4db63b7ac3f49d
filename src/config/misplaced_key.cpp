#include "config/misplaced_key.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "fcc/core/json.h"

namespace fcc {
namespace {

std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('.', start), path.size());
    parts.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

bool is_index(const std::string& part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](unsigned char c) {
    return std::isdigit(c) != 0;
  });
}

/// How many parts the two paths go together; an index goes with any.
std::size_t common_parts(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::size_t count = 0;
  while (count < std::min(a.size(), b.size()) &&
         (a[count] == b[count] || (is_index(a[count]) && b[count] == "N"))) {
    ++count;
  }
  return count;
}

} // namespace

std::vector<std::string> places_of_key(
    std::string_view path,
    const std::vector<std::string>& key_paths) {
  constexpr std::size_t kMostPlaces = 3; // more are no hint
  const std::vector<std::string> from = parts_of(path);
  std::vector<std::string> nearest;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const std::string& key_path : key_paths) {
    const std::vector<std::string> to = parts_of(key_path);
    if (to.back() != from.back()) {
      continue;
    }
    const std::size_t common = common_parts(from, to);
    const auto num_indices =
        std::count(to.begin() + static_cast<std::ptrdiff_t>(common), to.end(), "N");
    const std::size_t distance =
        from.size() + to.size() - 2 * common - static_cast<std::size_t>(num_indices);
    if (distance > least) {
      continue;
    }
    if (distance < least) {
      nearest.clear();
      least = distance;
    }
    std::string place;
    for (std::size_t i = 0; i < to.size(); ++i) {
      place = json_path(place, i < common ? from[i] : to[i]);
    }
    nearest.push_back(std::move(place));
  }
  return nearest.size() > kMostPlaces ? std::vector<std::string>() : nearest;
}

std::string misplaced_key_hint(std::string_view path, const std::vector<std::string>& key_paths) {
  const std::vector<std::string> places = places_of_key(path, key_paths);
  std::string list;
  for (std::size_t i = 0; i < places.size(); ++i) {
    list += i == 0 ? "" : i + 1 == places.size() ? " or " : ", ";
    list += '`' + places[i] + '`';
  }
  return list.empty() ? "" : "did you mean " + list + "?";
}

} // namespace fcc
