;; A guest that asks of WASI what the first byte of the body says; see the list at `handle`.
;; Memory: 64 the answer, 128 what the host answers, 256 our lists, from 1024 on the heap.
(module
  (import "wasi:cli/environment@0.2.12" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.12" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/exit@0.2.12" "exit" (func $exit (param i32)))
  (import "wasi:cli/stderr@0.2.12" "get-stderr" (func $stderr (result i32)))
  (import "wasi:cli/stdin@0.2.12" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/terminal-stdout@0.2.12" "get-terminal-stdout" (func $terminal (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $monotonic (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-instant" (func $at (param i64) (result i32)))
  (import "wasi:clocks/wall-clock@0.2.12" "now" (func $wall (param i32)))
  (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $folders (param i32)))
  (import "wasi:filesystem/types@0.2.12" "[method]descriptor.stat" (func $stat (param i32 i32)))
  (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.12" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:io/streams@0.2.12" "[method]input-stream.read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:random/insecure-seed@0.2.12" "insecure-seed" (func $insecure_seed (param i32)))
  (import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))

  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 1024))

  (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (if (i32.gt_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))) (then (unreachable)))
    (local.get $at))

  (func $ok (param $at i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.store (i32.const 72) (local.get $at))
    (i32.store (i32.const 76) (local.get $len))
    (i32.const 64))

  ;; Waits for the first of: never, a time, and a time as well.
  (func $wait_for_one_of_three (param $ns i64) (result i32)
    (i32.store (i32.const 256) (call $at (i64.const -1)))
    (i32.store (i32.const 260) (call $after (local.get $ns)))
    (i32.store (i32.const 264) (call $after (i64.const 3600000000000)))
    (call $poll (i32.const 256) (i32.const 3) (i32.const 128))
    (call $ok (i32.load (i32.const 128)) (i32.shl (i32.load (i32.const 132)) (i32.const 2))))

  ;; How many variables, arguments, folders and terminals there are.
  (func $machine (result i32)
    (call $environment (i32.const 128))
    (i32.store8 (i32.const 256) (i32.load (i32.const 132)))
    (call $arguments (i32.const 128))
    (i32.store8 (i32.const 257) (i32.load (i32.const 132)))
    (call $folders (i32.const 128))
    (i32.store8 (i32.const 258) (i32.load (i32.const 132)))
    (call $terminal (i32.const 128))
    (i32.store8 (i32.const 259) (i32.load8_u (i32.const 128)))
    (call $ok (i32.const 256) (i32.const 4)))

  (func $handle (param $body i32) (param $len i32) (result i32)
    (local $what i32) (local $number i64)
    (local.set $what (i32.load8_u (local.get $body)))
    (local.set $number (i64.load (i32.add (local.get $body) (i32.const 1))))
    ;; o, e: prints the rest of the body
    (if (i32.eq (local.get $what) (i32.const 0x6f)) (then
      (call $write (call $stdout)
        (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $len) (i32.const 1)) (i32.const 128))))
    (if (i32.eq (local.get $what) (i32.const 0x65)) (then
      (call $write (call $stderr)
        (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $len) (i32.const 1)) (i32.const 128))))
    ;; O: prints the rest of the body without end
    (if (i32.eq (local.get $what) (i32.const 0x4f)) (then
      (local.set $what (call $stdout))
      (loop $again
        (call $write (local.get $what)
          (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $len) (i32.const 1)) (i32.const 128))
        (br $again))))
    ;; s: sleeps; S: waits for one of three; 0: waits for nothing
    (if (i32.eq (local.get $what) (i32.const 0x73)) (then (call $block (call $after (local.get $number)))))
    (if (i32.eq (local.get $what) (i32.const 0x53)) (then (return (call $wait_for_one_of_three (local.get $number)))))
    (if (i32.eq (local.get $what) (i32.const 0x30)) (then (call $poll (i32.const 256) (i32.const 0) (i32.const 128))))
    ;; h: handles without end
    (if (i32.eq (local.get $what) (i32.const 0x68)) (then (loop $again (drop (call $stdout)) (br $again))))
    ;; r: random bytes; R: the seed of a hash map
    (if (i32.eq (local.get $what) (i32.const 0x72)) (then
      (call $random (local.get $number) (i32.const 128))
      (return (call $ok (i32.load (i32.const 128)) (i32.load (i32.const 132))))))
    (if (i32.eq (local.get $what) (i32.const 0x52)) (then
      (call $insecure_seed (i32.const 128))
      (return (call $ok (i32.const 128) (i32.const 16)))))
    ;; w: the time; m: the monotonic clock, twice
    (if (i32.eq (local.get $what) (i32.const 0x77)) (then
      (call $wall (i32.const 128))
      (return (call $ok (i32.const 128) (i32.const 12)))))
    (if (i32.eq (local.get $what) (i32.const 0x6d)) (then
      (i64.store (i32.const 128) (call $monotonic))
      (i64.store (i32.const 136) (call $monotonic))
      (return (call $ok (i32.const 128) (i32.const 16)))))
    ;; x: exits; v: what the machine has; i: reads; f: asks about a file that it does not have
    (if (i32.eq (local.get $what) (i32.const 0x78)) (then (call $exit (i32.const 1))))
    (if (i32.eq (local.get $what) (i32.const 0x76)) (then (return (call $machine))))
    (if (i32.eq (local.get $what) (i32.const 0x69)) (then
      (call $read (call $stdin) (i64.const 16) (i32.const 128))
      (i32.store8 (i32.const 129) (i32.load8_u (i32.const 132)))
      (return (call $ok (i32.const 128) (i32.const 2)))))
    (if (i32.eq (local.get $what) (i32.const 0x66)) (then (call $stat (i32.const 1) (i32.const 128))))
    (call $ok (i32.const 128) (i32.const 0)))

  (func (export "starbelt:function/handler@0.2.0#handle")
      (param i64 i64 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32) (param $body i32) (param $len i32) (result i32)
    (call $handle (local.get $body) (local.get $len))))
