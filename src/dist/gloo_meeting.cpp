#include "dist/gloo_meeting.h"

#include <exception>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "fcc/core/error.h"

namespace fcc {
namespace {

std::string place_of(const RankSettings& settings) {
  return settings.address + ":" + std::to_string(settings.port);
}

} // namespace

std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

StorePointer open_store(const RankSettings& settings, bool hosts) {
  c10d::TCPStoreOptions options;
  options.port = settings.port;
  options.isServer = hosts;
  options.waitWorkers = false;
  options.timeout = settings.timeout;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "fcc/" + settings.attempt, c10::make_intrusive<c10d::TCPStore>(settings.address, options));
  } catch (const std::exception& error) {
    throw Error(
        "ranks",
        hosts ? "rank 0 must be able to open its port, and no one else may have it"
              : "rank 0 must be reached within " + std::to_string(settings.timeout.count() / 1000) +
                    " s",
        place_of(settings),
        first_line(error.what()));
  }
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> open_gloo(
    std::int64_t rank,
    std::int64_t size,
    const RankSettings& settings,
    const StorePointer& store) {
  using Gloo = c10d::ProcessGroupGloo;
  const bool one_machine = settings.address == "localhost" || settings.address == "127.0.0.1";
  // Later than the ranks' own timeout, which says who waited for whom.
  const auto timeout = settings.timeout + std::chrono::seconds(30);
  auto options =
      one_machine ? Gloo::Options::create(timeout) : Gloo::Options::create_default(timeout);
  options->timeout = timeout;
  if (one_machine) { // a name of the machine that leads elsewhere does no harm then
    options->devices.push_back(Gloo::createDeviceForHostname("127.0.0.1"));
  }
  return c10::make_intrusive<Gloo>(
      c10::make_intrusive<c10d::PrefixStore>("gloo", store),
      static_cast<int>(rank),
      static_cast<int>(size),
      options);
}

} // namespace fcc
