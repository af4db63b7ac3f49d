#include "common/interrupt.h"

#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace fcc::tools {
namespace {

// A signal handler may touch nothing but these.
std::atomic<bool> has_come{false};
std::atomic<int> which{0};
std::atomic<std::int64_t> came_at_ms{0};
std::atomic<const char*> notice_of_first{nullptr};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

extern "C" void on_interrupt(int signal) {
  if (!has_come) {
    came_at_ms = now_ms();
    which = signal;
    has_come = true;
    const char* notice = notice_of_first;
    [[maybe_unused]] const auto written = write(STDERR_FILENO, notice, std::strlen(notice));
  } else if (now_ms() - came_at_ms >= 1000) {
    std::signal(signal, SIG_DFL);
    std::raise(signal); // comes when this handler is left
  }
}

} // namespace

void catch_interrupts(const char* notice) {
  notice_of_first = notice;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) {
    std::signal(signal, on_interrupt);
  }
  if (std::signal(SIGHUP, on_interrupt) == SIG_IGN) {
    std::signal(SIGHUP, SIG_IGN); // nohup
  }
}

void outlive_readers() {
  std::signal(SIGPIPE, SIG_IGN);
}

void forget_interrupt() {
  which = 0;
  has_come = false;
}

const std::atomic<bool>& interrupted() {
  return has_come;
}

int interrupting_signal() {
  return which;
}

} // namespace fcc::tools
