;; The function of the self-test. It answers the FNV-1a hash (64 bits, little-endian) of the body: loops, memory and products of 64 bits,
;; with a known answer. A body that starts with ! traps, one that starts with ~ never ends.
;; hash.wasm beside this is its component; agent/tests/selftest.rs compares them.
(module
  (memory (export "memory") 2)

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))

  (func (export "starbelt:function/handler@0.2.0#handle")
    (param $id i64) (param $root i64) (param $hops i32) (param $attempt i32)
    (param $source i32) (param $source_len i32) (param $deadline_ms i32)
    (param $calls i32) (param $cpu_us i64)
    (param $schema i32) (param $schema_len i32) (param $type i32) (param $type_len i32)
    (param $body i32) (param $len i32) (result i32)
    (local $hash i64) (local $end i32)
    (if (local.get $len) (then
      (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 0x21)) (then (unreachable)))
      (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 0x7e)) (then (loop $again (br $again))))))
    (local.set $hash (i64.const 0xcbf29ce484222325))
    (local.set $end (i32.add (local.get $body) (local.get $len)))
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $body) (local.get $end)))
      (local.set $hash (i64.mul
        (i64.xor (local.get $hash) (i64.load8_u (local.get $body)))
        (i64.const 0x100000001b3)))
      (local.set $body (i32.add (local.get $body) (i32.const 1)))
      (br $next)))
    (i64.store (i32.const 96) (local.get $hash))
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.store (i32.const 72) (i32.const 96))
    (i32.store (i32.const 76) (i32.const 8))
    (i32.const 64)))
