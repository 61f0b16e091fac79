// Each core of a row reads a piece of A, and sends it to its row in its turn; A lies in
// shards, so that a core's piece is its own.
tensix.netlist @pieces_in_turn version 1 chip "n150" {
  buffer @a l1 bf16 128x256 shards 2x4
  buffer @x dram bf16 128x256 role input
  buffer @w dram bf16 256x128 from "w"
  buffer @c dram bf16 128x128 role output
  program @twice (in %x, out %y) fidelity HiFi4 dst fp32 {
    axis m 4 over y 2
    axis n 8 over x 4
    cb %x [m.part, n.part] of %x [m, n]
    cb %y [m.part, n.part] over %y [m, n]
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %x
      noc_async_read %x
      noc_async_read_barrier
      cb_push_back %x
    }
    kernel compute on trisc {
      cb_wait_front %x
      cb_reserve_back %y
      tile_regs_acquire
      copy_tiles %x [m, n] -> dst[0]
      mul_unary_tile dst[0] [m, n], 2.0
      tile_regs_commit
      tile_regs_wait
      pack_tiles dst[0] [m, n] -> %y
      tile_regs_release
      cb_push_back %y
      cb_pop_front %x
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %y
      cb_pop_front %y
    }
  }
  program @matmul (in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 4 over y 2 block 1
    axis n 4 over x 4
    axis k 8 block 2
    cb %a [k.part, m.part] of %a [m, k]
    cb %w [k, n] of %w [k, n] depth 2
    cb %c [m, n] of %c [m, n]
    multicast %row of %a pieces [k.2, m.part] along x from (k.start floordiv 2, y) noc 0 linked
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %a
      for k by 2 {
        if x == k.start floordiv 2 {
          noc_async_read %a
        }
      }
      noc_async_read_barrier
      for k by 2 {
        if x == k.start floordiv 2 {
          send %row
        }
        if x < k.start floordiv 2 {
          receive %row
        }
        if x > k.start floordiv 2 {
          receive %row
        }
      }
      cb_push_back %a
    }
    kernel compute on trisc {
      cb_wait_front %a
      for m {
        tile_regs_acquire
        for k {
          cb_wait_front %w
          matmul_block %a, %w [m, n] sum [k] -> dst[0]
          cb_pop_front %w
        }
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %c
        pack_tiles dst[0] [m, n] -> %c
        cb_push_back %c
        tile_regs_release
      }
      cb_pop_front %a
    }
    kernel writer on riscv0 noc 1 {
      for m {
        for k {
          cb_reserve_back %w
          noc_async_read %w
          noc_async_read_barrier
          cb_push_back %w
        }
        cb_wait_front %c
        noc_async_write %c
        noc_async_write_barrier
        cb_pop_front %c
      }
    }
  }
  run @twice (@x, @a)
  run @matmul (@a, @w, @c)
}
