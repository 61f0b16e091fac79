// Causal attention, two tiles of queries and keys, six heads in two groups: products
// with turned keys, a mask, a softmax in three stages.
tensix.netlist @attention version 1 chip "n150" {
  buffer @q dram bf16 384x64 role input
  buffer @key dram bf16 128x64 role input
  buffer @value dram bf16 64x128 role input
  buffer @y dram bf16 384x64 role output
  program @attention (in %q, in %key, in %value, out %y) fidelity HiFi4 dst fp32 {
    axis h 6 over xy 6 stride 4 block 1
    axis m 2 over xy 2 stride 2 block 1
    axis s 2 block 2
    axis n 2 over xy 2 block 1
    axis k 2 block 2
    cb %cb_q [h, m, k.part] of %q [h * 2 + m, k]
    cb %cb_k [h, s.part, k.part] of %key [h floordiv 3 * 2 + s, k]
    cb %cb_v [h, s.part, n.part] of %value [s, h floordiv 3 * 2 + n]
    cb %cb_t0 [h, m, s.part] format fp32
    cb %cb_t1 [h, m] format fp32
    cb %cb_t2 [h, m, s.part] format bf16
    cb %cb_t3 [h, m] format fp32
    cb %cb_mask0 [m, s.part] format bf16
    cb %cb_one [] format bf16
    cb %cb_y [h, m, n] of %y [h * 2 + m, n] depth 2
    kernel reader on riscv1 noc 0 {
      for h {
        cb_reserve_back %cb_k
        noc_async_read %cb_k
        noc_async_read_barrier
        cb_push_back %cb_k
        cb_reserve_back %cb_v
        noc_async_read %cb_v
        noc_async_read_barrier
        cb_push_back %cb_v
        for m {
          cb_reserve_back %cb_q
          noc_async_read %cb_q
          noc_async_read_barrier
          cb_push_back %cb_q
        }
      }
    }
    kernel compute on trisc {
      cb_wait_front %cb_one
      for h {
        cb_wait_front %cb_k
        cb_wait_front %cb_v
        for m {
          cb_wait_front %cb_q
          cb_wait_front %cb_mask0
          cb_reserve_back %cb_t0
          for s by 2 {
            tile_regs_acquire
            matmul_block %cb_q, %cb_k transpose [h, m, s] sum [k] -> dst[0]
            mul_unary_tile dst[0] [h, m, s], 0.125
            copy_tiles %cb_mask0 [h, m, s] -> dst[2]
            add_binary_tile dst[0], dst[2] [h, m, s]
            tile_regs_commit
            tile_regs_wait
            pack_tiles dst[0] [h, m, s] -> %cb_t0
            tile_regs_release
          }
          cb_push_back %cb_t0
          cb_wait_front %cb_t0
          cb_reserve_back %cb_t1
          tile_regs_acquire
          reduce_tiles max row %cb_t0, %cb_one [h, m] over [s] -> dst[0]
          tile_regs_commit
          tile_regs_wait
          pack_tiles dst[0] [h, m] -> %cb_t1
          tile_regs_release
          cb_push_back %cb_t1
          cb_wait_front %cb_t1
          cb_reserve_back %cb_t2
          for s by 2 {
            tile_regs_acquire
            sub_tiles %cb_t0, %cb_t1 bcast col [h, m, s] -> dst[0]
            exp_tile dst[0] [h, m, s]
            tile_regs_commit
            tile_regs_wait
            pack_tiles dst[0] [h, m, s] -> %cb_t2
            tile_regs_release
          }
          cb_push_back %cb_t2
          cb_wait_front %cb_t2
          cb_pop_front %cb_t0
          cb_pop_front %cb_t1
          cb_reserve_back %cb_t3
          tile_regs_acquire
          reduce_tiles sum row %cb_t2, %cb_one [h, m] over [s] -> dst[0]
          recip_tile dst[0] [h, m]
          tile_regs_commit
          tile_regs_wait
          pack_tiles dst[0] [h, m] -> %cb_t3
          tile_regs_release
          cb_push_back %cb_t3
          cb_wait_front %cb_t3
          for n {
            tile_regs_acquire
            matmul_block %cb_t2, %cb_v [h, m, n] sum [s] -> dst[0]
            copy_tiles %cb_t3 bcast col [h, m, n] -> dst[1]
            mul_binary_tile dst[0], dst[1] [h, m, n]
            tile_regs_commit
            tile_regs_wait
            cb_reserve_back %cb_y
            pack_tiles dst[0] [h, m, n] -> %cb_y
            cb_push_back %cb_y
            tile_regs_release
          }
          cb_pop_front %cb_t2
          cb_pop_front %cb_t3
          cb_pop_front %cb_mask0
          cb_pop_front %cb_q
        }
        cb_pop_front %cb_k
        cb_pop_front %cb_v
      }
      cb_pop_front %cb_one
    }
    kernel writer on riscv0 noc 1 {
      cb_reserve_back %cb_one
      fill %cb_one row_scaler 1.0
      cb_push_back %cb_one
      for h {
        for m {
          cb_reserve_back %cb_mask0
          fill %cb_mask0 causal -3.3895313892515355e+38
          cb_push_back %cb_mask0
          for n {
            cb_wait_front %cb_y
            noc_async_write %cb_y
            noc_async_write_barrier
            cb_pop_front %cb_y
          }
        }
      }
    }
  }
  run @attention(@q, @key, @value, @y)
}
