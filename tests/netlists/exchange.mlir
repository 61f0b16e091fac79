// Three cores of a row share a contraction out; each goes on with a piece of the sums.
// The last core of the second row has no piece: of its three columns of w, two exist.
tensix.netlist @exchange version 1 chip "n150" {
  buffer @a dram bf16 64x224 role input
  buffer @w dram bf16 224x160 role input
  buffer @c dram fp32 64x160 role output
  program @split_k(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 2 block 1
    axis n 5 over y 2 block 3
    axis k 7 over x 3 block 1
    axis n1 5 of n over x 3
    axis p 3 block 1
    cb %a [m.part, k] of %a[m, k] depth 2
    cb %w [k, n.part] of %w[k, n] depth 2
    cb %sum [m.part, n.part] format fp32
    cb %own [m.part, n1.part] format fp32
    cb %slots [p.part, m.part, n1.part] format fp32
    cb %c [m, n1] of %c[m, n1]
    gather %pieces of (%sum) into (%slots) along k each
    kernel reader on riscv1 noc 0 {
      for k {
        if k.size > 0 {
          cb_reserve_back %a
          noc_async_read %a
          cb_reserve_back %w
          noc_async_read %w
          noc_async_read_barrier
          cb_push_back %a
          cb_push_back %w
        }
      }
    }
    kernel compute on trisc {
      cb_reserve_back %sum
      for m {
        tile_regs_acquire
        fill_tile dst[0] [m, n], 0.0
        tile_regs_commit
        tile_regs_wait
        pack_tiles dst[0] [m, n] -> %sum
        tile_regs_release
      }
      for k {
        if k.size > 0 {
          cb_wait_front %a
          cb_wait_front %w
          for m {
            tile_regs_acquire
            matmul_block %a, %w [m, n] sum [k] -> dst[0]
            tile_regs_commit
            tile_regs_wait
            pack_tiles dst[0] [m, n] -> %sum l1_accumulate
            tile_regs_release
          }
          cb_pop_front %a
          cb_pop_front %w
        }
      }
      cb_push_back %sum
      cb_reserve_back %own
      tile_regs_acquire
      fill_tile dst[0] [m, n1], 0.0
      tile_regs_commit
      tile_regs_wait
      pack_tiles dst[0] [m, n1] -> %own
      tile_regs_release
      cb_wait_front %slots
      for p {
        tile_regs_acquire
        copy_tiles %slots [m, n1] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        pack_tiles dst[0] [m, n1] -> %own l1_accumulate
        tile_regs_release
      }
      cb_pop_front %slots
      cb_push_back %own
      cb_wait_front %own
      for m {
        cb_reserve_back %c
        tile_regs_acquire
        copy_tiles %own [m, n1] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        pack_tiles dst[0] [m, n1] -> %c
        tile_regs_release
        cb_push_back %c
      }
      cb_pop_front %own
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %sum
      cb_reserve_back %slots
      exchange %pieces
      cb_push_back %slots
      cb_pop_front %sum
      for m {
        cb_wait_front %c
        noc_async_write %c
        noc_async_write_barrier
        cb_pop_front %c
      }
    }
  }
  run @split_k(@a, @w, @c)
}
