// Vendor-like: one core, operands in place in L1, partial sums added by the packer.
tensix.netlist @vendor_matmul version 1 chip "n150" {
  buffer @in0 l1 bf16 128x64 shards 1x1 role input
  buffer @in1 l1 bf16 64x128 shards 1x1 role input
  buffer @out l1 bf16 128x128 shards 1x1 role output
  program @matmul (in %in0, in %in1, out %out) fidelity HiFi4 dst bf16 {
    axis m 4 block 4
    axis n 4 block 4
    axis k 8 block 2
    cb %in0 [m, k] over %in0 [m, k mod 2]
    cb %in1 [k, n] over %in1 [k mod 2, n]
    cb %out [m.2, n.2] over %out [m, n] depth 4
    cb %partials [m.2, n.2] format bf16 depth 4 shares %out
    kernel in0 on riscv1 noc 1 {
      for m {
        for n {
          for k {
            cb_reserve_back %in0
            cb_push_back %in0
          }
        }
      }
    }
    kernel in1_and_out on riscv0 noc 0 {
      for m {
        for n {
          for k {
            cb_reserve_back %in1
            cb_push_back %in1
          }
          for m by 2 {
            for n by 2 {
              cb_wait_front %out
              cb_pop_front %out
            }
          }
        }
      }
    }
    kernel compute on trisc {
      for m {
        for n {
          for k {
            cb_wait_front %in0
            cb_wait_front %in1
            for m by 2 {
              for n by 2 {
                tile_regs_acquire
                if k.start == 6 {
                  cb_wait_front %partials
                  copy_tiles %partials [m, n] -> dst[0]
                  cb_pop_front %partials
                }
                matmul_block %in0, %in1 [m, n] sum [k] -> dst[0]
                tile_regs_commit
                if k.start == 0 {
                  cb_reserve_back %partials
                  tile_regs_wait
                  pack_tiles dst[0] [m, n] -> %partials
                  tile_regs_release
                  cb_push_back %partials
                }
                if k.start > 0 and k.start < 6 {
                  cb_reserve_back %partials
                  tile_regs_wait
                  pack_tiles dst[0] [m, n] -> %partials l1_accumulate
                  tile_regs_release
                  cb_push_back %partials
                }
                if k.start == 6 {
                  cb_reserve_back %out
                  tile_regs_wait
                  pack_tiles dst[0] [m, n] -> %out
                  tile_regs_release
                  cb_push_back %out
                }
              }
            }
            if k.start < 4 {
              cb_wait_front %partials, 16
              cb_pop_front %partials, 16
            }
            cb_pop_front %in0
            cb_pop_front %in1
          }
        }
      }
    }
  }
  run @matmul (@in0, @in1, @out)
}
