#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "fcc/dist/communicator.h"

namespace fcc::tools {

/// Runs `work` as one of several ranks. If it throws, the other ranks are told why, `failed` is
/// called, and the error is thrown on. Whatever a rank still waits for by then (a GPU's queue that
/// a dead rank never fills, a library's threads), its process ends some seconds after a rank has
/// failed: exit code 1, with the reason in `program`'s name.
int as_rank(
    const std::string& program,
    const std::shared_ptr<Communicator>& ranks,
    const std::function<int()>& work,
    const std::function<void(const std::exception&)>& failed = {});

} // namespace fcc::tools
