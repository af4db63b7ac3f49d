#pragma once

#include <cstdint>
#include <type_traits>

#include "memory_attention/backward_products.cuh"
#include "memory_attention/backward_store.cuh"

namespace fcc::kernels::backward {

/// The work of one consumer warpgroup. With rows r that it keeps and columns c that stream by:
///
///     S = kept_first tile_first^T       dP = kept_second tile_second^T
///     P = 2^(scale_log2 S - lse_log2)   dS = P (dP - delta)
///     dQ or dK += dS tile_first         dV += P tile_second (keys only)
///
/// lse and delta belong to queries: rows in Role::kQueries, columns in Role::kKeys. P and dS go
/// from the accumulators straight into the next products as their register operand.
template <class Traits>
__device__ void consume(const KernelParams& params,
                        typename Traits::Shared& shared,
                        int warpgroup) {
  using ItemOfRole = Item<Traits::kRole, Traits::kWarpgroups, Traits::kTileRows>;
  constexpr bool kQueries = Traits::kRole == Role::kQueries;
  constexpr int kHeadDim = Traits::kHeadDim;
  constexpr int kTileRows = Traits::kTileRows;
  constexpr float kMinusInfinity = -INFINITY;

  const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
  const int row_in_block = thread / kWarpSize * 16 + thread % kWarpSize / 4;  // and + 8
  const int column_in_8 = 2 * (thread % 4);                                   // and + 1
  const bool signals = thread % kWarpSize == 0;  // each warp for itself

  RingPosition<Traits::kKeptStages> kept;
  RingPosition<Traits::kStages> tile;
  const int items = num_items<Traits::kRole, Traits::kWarpgroups>(params.shape);
  for (int index = static_cast<int>(blockIdx.x); index < items;
       index += static_cast<int>(gridDim.x)) {
    const ItemOfRole item(params, index);
    const Block block = item.block(warpgroup);
    const Stream stream = item.stream();

    float sum_first[kHeadDim / 2];                  // dQ or dK
    float sum_second[kQueries ? 1 : kHeadDim / 2];  // dV
#pragma unroll
    for (float& value : sum_first) {
      value = 0.0F;
    }
#pragma unroll
    for (float& value : sum_second) {
      value = 0.0F;
    }

    if (stream.segment_tiles > 0) {
      // The statistics of a kept row stay in registers.
      float row_lse[2] = {0.0F, 0.0F};
      float row_delta[2] = {0.0F, 0.0F};
      if constexpr (kQueries) {
        if (block.active) {
          const int64_t at = (static_cast<int64_t>(item.cell * params.shape.batch + item.batch) *
                                  params.shape.num_heads +
                              block.head) *
                  params.statistics_rows +
              block.row0 + row_in_block;
          row_lse[0] = params.lse_log2[at];
          row_lse[1] = params.lse_log2[at + 8];
          row_delta[0] = params.delta[at];
          row_delta[1] = params.delta[at + 8];
        }
      }

      // Which of the streamed tiles concern this block: [active_begin, active_end) of a segment.
      int num_segments = stream.num_segments;
      int segment_tiles = stream.segment_tiles;
      int active_begin = 0;
      int active_end = segment_tiles;
      if constexpr (kQueries) {
        active_end = stream.memory_tiles +
            ceil_divide(min(item.num_queries, block.row0 + kBlockRows), kTileRows);
      } else if (!block.in_memory) {
        active_begin = max(0, block.row0 / kTileRows - stream.first_tile);
      }
      if (!block.active) {
        active_end = active_begin = 0;
      }
      if (active_begin == 0 && active_end == segment_tiles) {
        segment_tiles *= num_segments;  // one long run without drains between the heads
        active_end = segment_tiles;
        num_segments = 1;
      }

      mbarrier_wait(&shared.kept_full[kept.stage], kept.parity);
      const KeptOperand<Traits> kept_first(shared.kept_first[kept.stage][warpgroup]);
      const KeptOperand<Traits> kept_second(shared.kept_second[kept.stage][warpgroup]);

      float scores[kTileRows / 2];
      float grads[kTileRows / 2];

      const auto release_tile = [&](int stage) {
        __syncwarp();
        if (signals) {
          mbarrier_arrive(&shared.tile_empty[stage]);
        }
      };
      const auto skip_tiles = [&](int count) {
        for (int i = 0; i < count; ++i) {
          mbarrier_wait(&shared.tile_full[tile.stage], tile.parity);
          release_tile(tile.stage);
          tile.advance();
        }
      };
      const auto issue_scores = [&]() {
        mbarrier_wait(&shared.tile_full[tile.stage], tile.parity);
        kept_first.issue(scores,
                         matrix_descriptor(shared_address(shared.tile_first[tile.stage])));
      };

      // One tile whose scores are complete. `number` counts the tiles of a segment.
      const auto step = [&](int number, auto has_next) {
        const int stage = tile.stage;
        const uint64_t tile_first = matrix_descriptor(shared_address(shared.tile_first[stage]),
                                                      Traits::kPanelBytesTile);
        const uint64_t tile_second = matrix_descriptor(shared_address(shared.tile_second[stage]),
                                                       Traits::kPanelBytesTile);
        kept_second.issue(grads, tile_second);

        if constexpr (kQueries) {
          const bool in_memory = number < stream.memory_tiles;
          const int column0 = (in_memory ? number : number - stream.memory_tiles) * kTileRows;
          const int first_bound = in_memory ? item.num_memory - 1 : block.row0;
          if (column0 + kTileRows - 1 > first_bound) {
            const int bound0 = (in_memory ? first_bound : block.row0 + row_in_block) - column0;
            const int bound1 = in_memory ? bound0 : bound0 + 8;
#pragma unroll
            for (int i = 0; i < kTileRows / 2; ++i) {
              const int column = i / 4 * 8 + i % 2 + column_in_8;
              scores[i] = column > ((i & 2) == 0 ? bound0 : bound1) ? kMinusInfinity : scores[i];
            }
          }
        } else if (!block.in_memory) {
          const int column0 = (stream.first_tile + number) * kTileRows;
          if (column0 < block.row0 + kBlockRows - 1) {
            const int bound0 = block.row0 + row_in_block - column0;  // the first query that sees it
            const int bound1 = bound0 + 8;
#pragma unroll
            for (int i = 0; i < kTileRows / 2; ++i) {
              const int column = i / 4 * 8 + i % 2 + column_in_8;
              scores[i] = column < ((i & 2) == 0 ? bound0 : bound1) ? kMinusInfinity : scores[i];
            }
          }
        }

        [[maybe_unused]] uint32_t weights[kTileRows / 4];
#pragma unroll
        for (int i = 0; i < kTileRows / 8; ++i) {
          float2 lse = make_float2(row_lse[0], row_lse[1]);
          if constexpr (!kQueries) {
            lse = *reinterpret_cast<const float2*>(&shared.lse_log2[stage][8 * i + column_in_8]);
          }
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const float this_lse = (kQueries ? j / 2 : j % 2) == 0 ? lse.x : lse.y;
            scores[4 * i + j] =
                exp2_approximate(scores[4 * i + j] * params.scale_log2 - this_lse);
          }
          if constexpr (!kQueries) {
            weights[2 * i] = pack_bf16(scores[4 * i], scores[4 * i + 1]);
            weights[2 * i + 1] = pack_bf16(scores[4 * i + 2], scores[4 * i + 3]);
          }
        }
        wgmma_wait<0>();
        pin_registers(grads);
        if constexpr (!kQueries) {
          issue_sum_product<Traits>(sum_second, weights, tile_second);
        }

        uint32_t weight_grads[kTileRows / 4];
#pragma unroll
        for (int i = 0; i < kTileRows / 8; ++i) {
          float2 delta = make_float2(row_delta[0], row_delta[1]);
          if constexpr (!kQueries) {
            delta = *reinterpret_cast<const float2*>(&shared.delta[stage][8 * i + column_in_8]);
          }
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const float this_delta = (kQueries ? j / 2 : j % 2) == 0 ? delta.x : delta.y;
            grads[4 * i + j] = scores[4 * i + j] * (grads[4 * i + j] - this_delta);
          }
          weight_grads[2 * i] = pack_bf16(grads[4 * i], grads[4 * i + 1]);
          weight_grads[2 * i + 1] = pack_bf16(grads[4 * i + 2], grads[4 * i + 3]);
        }
        issue_sum_product<Traits>(sum_first, weight_grads, tile_first);

        tile.advance();
        if constexpr (decltype(has_next)::value) {
          issue_scores();
        }
        wgmma_wait<0>();
        pin_registers(scores);
        release_tile(stage);
      };

      for (int segment = 0; segment < num_segments; ++segment) {
        skip_tiles(active_begin);
        if (active_begin < active_end) {
          int number = active_begin;
          issue_scores();
          wgmma_wait<0>();
          pin_registers(scores);
          for (int i = active_begin; i + 1 < active_end; ++i) {
            step(number, std::true_type{});
            number = number + 1 == stream.segment_tiles ? 0 : number + 1;
          }
          step(number, std::false_type{});
        }
        skip_tiles(segment_tiles - active_end);
      }
      __syncwarp();
      if (signals) {
        mbarrier_arrive(&shared.kept_empty[kept.stage]);
      }
      kept.advance();
      pin_registers(sum_first);
      pin_registers(sum_second);
    }

    if (block.exists) {
      if constexpr (kQueries) {
        store_block<kHeadDim>(sum_first, params.scale, params.dq, item.cell, item.batch, block.row0,
                              item.num_queries, block.head);
      } else {
        const int rows = block.in_memory ? params.shape.num_memory : item.num_queries;
        store_block<kHeadDim>(sum_first, params.scale,
                              block.in_memory ? params.dk_mem : params.dk_cur, item.cell,
                              item.batch, block.row0, rows, block.head);
        store_block<kHeadDim>(sum_second, 1.0F, block.in_memory ? params.dv_mem : params.dv_cur,
                              item.cell, item.batch, block.row0, rows, block.head);
      }
    }
  }
}

}  // namespace fcc::kernels::backward
