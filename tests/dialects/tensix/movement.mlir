// Every operation of data movement, with and without its optional parts.
tensix.netlist @movement version 1 chip "n150" {
  program @p(in %x) fidelity LoFi dst fp32 {
    axis m 2
    axis u 4 over x 2 block 1 dealt
    scalars pos of %x from 0 to 31
    cb %a [m] of %x[m, 0]
    semaphore %s initial 1
    multicast %row of %a along y from (x, 0) noc 1
    gather %parts of (%a) into (%a) along u noc 1
    gather %pieces of (%a) into (%a) along u each
    kernel reader on riscv0 noc 1 {
      cb_reserve_back %a
      cb_reserve_back %a, m.size * 2
      cb_push_back %a
      cb_push_back %a, 1
      cb_wait_front %a
      cb_wait_front %a, 1
      cb_pop_front %a
      cb_pop_front %a, x + 1
      noc_async_read %a
      noc_async_read %a noc 0
      for m {
        noc_async_read %a ahead m
        noc_async_read %a ahead m noc 0
        noc_async_read_barrier of %a
      }
      noc_async_read_rows %a
      noc_async_read_rows %a noc 1
      noc_async_read_barrier
      noc_async_write %a
      noc_async_write %a noc 0
      read_scalars pos
      noc_async_write_rows %a row u to pos[u]
      noc_async_write_rows %a row 0 to pos[u + 1] mod 32 + 1 noc 0
      noc_async_write_barrier
      contribute %parts
      collect %parts from min(pos[0], 3) - 1
      exchange %pieces
      send %row
      receive %row
      noc_async_write_multicast %a from (0, y) to (7, y)
      noc_async_write_multicast %a from (0, y) to (7, y) linked
      noc_async_write_multicast %a from (0, y) to (7, y) linked loopback
      noc_semaphore_set_multicast %s from (0, 0) to (x, 3), 1 loopback
      noc_semaphore_set %s, 0
      noc_semaphore_wait %row.ready, 3
      noc_semaphore_inc %s at (0, y), 1
      noc_semaphore_set_multicast %s from (0, 0) to (x, 3), 1
      fill %a value 0.5
      fill %a row_scaler 1.0
      fill %a causal -3.3895313892515355e+38
      fill %a pad 0.0
      fill %a columns 0.0 inside 1.0 extent 7
      fill %a columns 0.0 inside 1.0 to pos[0] + 1
    }
  }
}
