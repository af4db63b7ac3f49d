#include "fcc/core/error_at.h"

namespace fcc {
namespace {

template <typename E>
E moved_to(const std::string& place, const E& error) {
  const std::string where = error.where().empty() ? place : place + ": " + error.where();
  return E(where, error.rule(), error.value(), error.hint());
}

} // namespace

void rethrow_at(const std::string& place) {
  try {
    throw;
  } catch (const ConfigError& error) {
    throw moved_to(place, error);
  } catch (const IoError& error) {
    throw moved_to(place, error);
  } catch (const FormatError& error) {
    throw moved_to(place, error);
  } catch (const Error& error) {
    throw moved_to(place, error);
  }
}

} // namespace fcc
