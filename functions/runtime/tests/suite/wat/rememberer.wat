;; A guest that counts its calls in its own memory, and does what the first byte of the body says:
;; c counts and answers the count; m grows its memory by 16 pages; f fails with `not-found`; t traps; s never ends.
;; What it remembers is the count, 8 bytes; how it says that the last byte of the body decides:
;; l says 2 MiB, x traps, w never ends.
(module
  (import "starbelt:function/output@0.2.0" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 64)
  (data (i32.const 256) "suspended")
  (global $count (mut i64) (i64.const 0))
  (global $how (mut i32) (i32.const 0))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))

  (func $spin (loop $again (br $again)))

  (func (export "starbelt:function/handler@0.2.0#handle")
    (param $id i64) (param $root i64) (param $hops i32) (param $attempt i32)
    (param $source i32) (param $source_len i32) (param $deadline_ms i32)
    (param $calls i32) (param $cpu_us i64)
    (param $schema i32) (param $schema_len i32) (param $type i32) (param $type_len i32)
    (param $body i32) (param $len i32) (result i32)
    (local $do i32)
    (local.set $do (i32.load8_u (local.get $body)))
    (global.set $how (i32.load8_u (i32.sub (i32.add (local.get $body) (local.get $len)) (i32.const 1))))
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (if (i32.eq (local.get $do) (i32.const 0x6d)) (then ;; m
      (if (i32.eq (i32.const -1) (memory.grow (i32.const 16))) (then (unreachable)))))
    (if (i32.eq (local.get $do) (i32.const 0x66)) (then ;; f
      (i32.store8 (i32.const 64) (i32.const 1))
      (i32.store8 (i32.const 72) (i32.const 1))
      (return (i32.const 64))))
    (if (i32.eq (local.get $do) (i32.const 0x74)) (then (unreachable))) ;; t
    (if (i32.eq (local.get $do) (i32.const 0x73)) (then (call $spin))) ;; s
    (i64.store (i32.const 96) (global.get $count))
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.store (i32.const 72) (i32.const 96))
    (i32.store (i32.const 76) (i32.const 8))
    (i32.const 64))

  (func (export "starbelt:function/lifecycle@0.2.0#suspend") (result i32)
    (call $log (i32.const 2) (i32.const 256) (i32.const 9))
    (if (i32.eq (global.get $how) (i32.const 0x78)) (then (unreachable))) ;; x
    (if (i32.eq (global.get $how) (i32.const 0x77)) (then (call $spin))) ;; w
    (i64.store (i32.const 96) (global.get $count))
    (i32.store (i32.const 128) (i32.const 96))
    (i32.store (i32.const 132) (i32.const 8))
    (if (i32.eq (global.get $how) (i32.const 0x6c)) (then ;; l
      (i32.store (i32.const 132) (i32.const 2097152))))
    (i32.const 128))

  ;; Takes up a count; anything but 8 bytes is none, and 9 never end.
  (func (export "starbelt:function/lifecycle@0.2.0#resume") (param $memory i32) (param $len i32)
    (if (i32.eq (local.get $len) (i32.const 9)) (then (call $spin)))
    (if (i32.ne (local.get $len) (i32.const 8)) (then (unreachable)))
    (global.set $count (i64.load (local.get $memory)))))
