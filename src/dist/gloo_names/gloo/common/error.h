#pragma once

// LibTorch's header of its Gloo backend names types of Gloo, whose own headers its packages leave
// out. Only names are needed: every object behind them is made, used and destroyed in LibTorch.
