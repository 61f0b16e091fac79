// Vendor-like: in0 lies in shards whose owners send in turn, copying narrow blocks first.
tensix.netlist @vendor_matmul version 1 chip "n150" {
  buffer @in0 l1 bf16 128x256 shards 2x4 role input
  buffer @in1 dram bf16 256x256 role input
  buffer @out l1 bf16 128x256 shards 2x4 role output
  program @matmul (in %in0, in %in1, out %out) fidelity HiFi4 dst bf16 {
    axis m 4 over y 2 block 2
    axis n 8 over x 4 block 2
    axis k 8 block 1
    cb %in0 [m, k] of %in0 [m, k] depth 2
    cb %in1 [k, n] of %in1 [k, n] depth 2
    cb %out [m.1, n.2] over %out [m, n] depth 2
    cb %partials [m.1, n.2] format bf16 depth 2 shares %out
    semaphore %room initial 0
    semaphore %there initial 0
    multicast %column of %in1 along y from (x, 0) noc 0 linked
    kernel in0 on riscv1 noc 1 {
      for m {
        for n {
          for k {
            cb_reserve_back %in0
            noc_semaphore_set %there, 0
            if x == k.start floordiv 2 {
              noc_async_read %in0
              noc_async_read_barrier
              noc_semaphore_wait %room, 3
              noc_semaphore_set %room, 0
              noc_async_write_multicast %in0 from (0, y) to (3, y) linked
              noc_semaphore_set_multicast %there from (0, y) to (3, y), 1 loopback
            }
            if x < k.start floordiv 2 {
              noc_semaphore_inc %room at (k.start floordiv 2, y), 1
            }
            if x > k.start floordiv 2 {
              noc_semaphore_inc %room at (k.start floordiv 2, y), 1
            }
            noc_semaphore_wait %there, 1
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
            if y == 0 {
              noc_async_read %in1
              noc_async_read_barrier
              send %column
            }
            if y > 0 {
              receive %column
            }
            cb_push_back %in1
          }
          for m by 1 {
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
            for m by 1 {
              for n by 2 {
                tile_regs_acquire
                if k.start == 7 {
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
                if k.start > 0 and k.start < 7 {
                  cb_reserve_back %partials
                  tile_regs_wait
                  pack_tiles dst[0] [m, n] -> %partials l1_accumulate
                  tile_regs_release
                  cb_push_back %partials
                }
                if k.start == 7 {
                  cb_reserve_back %out
                  tile_regs_wait
                  pack_tiles dst[0] [m, n] -> %out
                  tile_regs_release
                  cb_push_back %out
                }
              }
            }
            if k.start < 6 {
              cb_wait_front %partials, 4
              cb_pop_front %partials, 4
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
