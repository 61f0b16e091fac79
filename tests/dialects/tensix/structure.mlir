// Lines of a netlist and declarations of a program, with every optional part.
tensix.netlist @all version 1 chip "n150" {
  buffer @x dram bf16 64x576
  buffer @in dram fp32 2x3x64x576 role input
  buffer @table l1 int32 64x64 row_major
  buffer @s l1 bf16 64x64 shards 2x1 role output
  buffer @r l1 bf16 64x320 shards 1x10 over xy
  buffer @layers.$.w last 29 dram bfp8_b 576x960 from "concat(0, layers.$.q, layers.$.k)"
  buffer @cache dram bf16 64x64 role cache
  program @p(in %x, out %y, inout %z) fidelity HiFi2 dst bf16 full_sync source "model.py:3 (+2)" {
    axis m 2
    axis n 30 over x 8 stride 2 unit 2 block 4
    axis k 18 over xy 6 block 3
    axis h 3 over y 3
    cb %a [m, k.part] of %x[m, k * 2 + 1] depth 2
    cb %b [] format bf16
    cb %c [m] format fp32 rows of %z[%a, max(m, 1)]
    cb %f [m, n] format bf16 depth 2 shares %d
    cb %e [m.2, k.4] over %z[m, k] depth 2
    cb %d [m, n] format bf16 of %y[m - (n - 1), n floordiv 2 mod 3]
    semaphore %s initial 0
    multicast %row of %a along x from (0, y) noc 0 linked
    multicast %cut of %a pieces [m, k.2] along y from (x, k.start floordiv 2) noc 0
    multicast %all of %b along xy from (k.start, min(y, 1)) noc 1
    kernel reader on riscv1 noc 0 {
      for m {
        for n by 2 to m.stop {
          if x == 0 and y > 1 {
            noc_async_read_barrier
          }
          if x <= k.start {
            noc_async_read_barrier
          }
        }
      }
    }
    kernel compute on trisc {
    }
  }
  entry @step {
    run @p(@x, @in, @layers.4.w)
    host "tokenize" (@x)
  }
  run @p(@x, @in, @layers.3.w)
  host "argmax" (@x, @in)
}
