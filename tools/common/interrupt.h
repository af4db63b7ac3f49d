#pragma once

#include <atomic>

namespace fcc::tools {

/// From here on the first SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal is gone; not under nohup),
/// SIGUSR1 or SIGUSR2 (batch systems warn with them) is noted instead of ending the program, so
/// that it can finish what it is at and save. Another one ends it at once if a second has passed:
/// `timeout` and batch systems send a signal twice, to the process and to its group. `notice`, a
/// line that outlives the program, is written to standard error at once.
void catch_interrupts(const char* notice);

/// From here on a reader that goes away (`| head`, `| tee` on Ctrl-C) makes writing to it fail
/// instead of ending the program: for one whose output is only its log.
void outlive_readers();

/// Takes note of it: the next signal is the first again. For programs that go on after Ctrl-C.
void forget_interrupt();

/// Whether a signal has come.
const std::atomic<bool>& interrupted();

/// The signal that has come; 0: none.
int interrupting_signal();

} // namespace fcc::tools
