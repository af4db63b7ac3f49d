#pragma once

#include <stdexcept>
#include <string>

namespace fcc {

/// An error that tells where it happened, which rule was broken, by which value, and what to do.
///
/// `what()` reads `where: rule; got value (hint)`; an empty part is left out. The library throws
/// this and its children only; programs catch it once in `main`, print one line and return 1.
class Error : public std::runtime_error {
 public:
  Error(std::string where, std::string rule, std::string value = {}, std::string hint = {});

  const std::string& where() const {
    return where_;
  }
  const std::string& rule() const {
    return rule_;
  }
  const std::string& value() const {
    return value_;
  }
  const std::string& hint() const {
    return hint_;
  }

 private:
  std::string where_, rule_, value_, hint_;
};

/// A configuration or a command line that breaks a rule; programs return 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or written (the system's reason is in `value()`).
class IoError : public Error {
 public:
  using Error::Error;
};

/// A file whose content breaks its format.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// Throws `Error` unless `holds`. Cheap only if its arguments are: build messages in a branch on
/// hot paths.
void check(bool holds, const char* where, const char* rule, const std::string& value = {});

} // namespace fcc
