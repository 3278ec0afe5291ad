;; A guest that does what the first byte of the body says; see the list at `handle`.
;; Memory: 64 the answer, 128 what the host answers, 256 names, from 1024 on the heap.
(module
  (import "starbelt:function/state@0.2.0" "get" (func $state_get (param i32 i32 i32)))
  (import "starbelt:function/state@0.2.0" "put" (func $state_put (param i32 i32 i32 i32 i32 i64 i32)))
  (import "starbelt:function/state@0.2.0" "delete" (func $state_delete (param i32 i32 i32)))
  (import "starbelt:function/state@0.2.0" "keys" (func $state_keys (param i32 i32 i32)))
  (import "starbelt:function/objects@0.2.0" "inputs" (func $inputs (param i32)))
  (import "starbelt:function/objects@0.2.0" "read" (func $read (param i32 i32 i32 i32 i64 i32 i32)))
  (import "starbelt:function/objects@0.2.0" "write" (func $write (param i32 i32 i32 i32 i32)))
  (import "starbelt:function/state@0.2.0" "get-range" (func $get_range (param i32 i32 i64 i32 i32)))
  (import "starbelt:function/state@0.2.0" "batch" (func $batch (param i32 i32 i32)))
  (import "starbelt:function/objects@0.2.0" "write-at" (func $write_at (param i32 i32 i64 i32 i32 i32)))
  (import "starbelt:function/objects@0.2.0" "hand" (func $hand (param i32 i32 i32 i32 i32)))
  (import "starbelt:function/objects@0.2.0" "forward" (func $forward (param i32 i32 i32 i32 i32 i32 i32)))
  (import "starbelt:function/calls@0.2.0" "call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "starbelt:function/output@0.2.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))
  (import "starbelt:function/infer@0.2.0" "run" (func $infer (param i32 i32 i32 i32 i32)))
  (import "starbelt:function/sky@0.2.0" "latency" (func $latency (param i32 i32 i32)))
  (import "starbelt:function/node@0.2.0" "describe" (func $describe (param i32)))
  (import "starbelt:function/sky@0.2.0" "now" (func $now (result i64)))
  (import "starbelt:function/sky@0.2.0" "next-contact" (func $next_contact (param i32 i32 i32)))
  (import "starbelt:function/output@0.2.0" "log" (func $log (param i32 i32 i32)))

  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 1024))
  (data (i32.const 256) "counter")
  (data (i32.const 272) "../x")
  (data (i32.const 288) "copy")
  (data (i32.const 304) "sat-2")
  (data (i32.const 320) "puppet")
  (data (i32.const 336) "i")
  ;; a list of one string: copy
  (data (i32.const 344) "\20\01\00\00\04\00\00\00")

  (func $realloc (export "cabi_realloc") (param i32 i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32) (local $missing i32)
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (local.set $missing (i32.sub (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
    (if (i32.gt_s (local.get $missing) (i32.const 0)) (then
      (if (i32.eq (i32.const -1) (memory.grow
            (i32.shr_u (i32.add (local.get $missing) (i32.const 65535)) (i32.const 16))))
        (then (unreachable)))))
    (local.get $at))

  (func $ok (param $at i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.store (i32.const 72) (local.get $at))
    (i32.store (i32.const 76) (local.get $len))
    (i32.const 64))

  (func $ok_u64 (param $value i64) (result i32)
    (i64.store (i32.const 96) (local.get $value))
    (call $ok (i32.const 96) (i32.const 8)))

  ;; Answers what lies at 128 as `result<u64, fault>`; a fault lies there as it does in our own answer.
  (func $ok_u64_or_fault (result i32)
    (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
    (call $ok_u64 (i64.load (i32.const 136))))

  (func $ok_list_or_fault (result i32)
    (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
    (call $ok (i32.load (i32.const 136)) (i32.load (i32.const 140))))

  (func $fall (param $n i32) (result i32)
    (i32.add (i32.const 1) (call $fall (i32.add (local.get $n) (i32.const 1)))))

  ;; counter += 1, if nobody else has written it since.
  (func $count (result i32)
    (local $version i64)
    (call $state_get (i32.const 256) (i32.const 7) (i32.const 128))
    (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
    (i64.store (i32.const 192) (i64.const 0))
    (if (i32.load8_u (i32.const 136)) (then
      (i64.store (i32.const 192) (i64.load (i32.load (i32.const 144))))
      (local.set $version (i64.load (i32.const 152)))))
    (i64.store (i32.const 192) (i64.add (i64.const 1) (i64.load (i32.const 192))))
    (call $state_put (i32.const 256) (i32.const 7) (i32.const 192) (i32.const 8)
      (i32.const 1) (local.get $version) (i32.const 128))
    (call $ok_u64_or_fault))

  ;; Calls the puppet with these bytes, and so many objects of the list at 344. Its answer or fault is ours.
  (func $puppet (param $body i32) (param $len i32) (param $objects i32) (result i32)
    (call $call (i32.const 320) (i32.const 6) (i32.const 0) (i32.const 0)
      (local.get $body) (local.get $len) (i32.const 344) (local.get $objects) (i32.const 128))
    (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
    (call $ok (i32.load (i32.const 136)) (i32.load (i32.const 140))))

  ;; A write of a batch at $at: key, the value, the expected version.
  (func $write_of (param $at i32) (param $key i32) (param $key_len i32)
    (param $value i32) (param $len i32) (param $expect i64)
    (i32.store (local.get $at) (local.get $key))
    (i32.store offset=4 (local.get $at) (local.get $key_len))
    (i32.store8 offset=8 (local.get $at) (i32.const 1))
    (i32.store offset=12 (local.get $at) (local.get $value))
    (i32.store offset=16 (local.get $at) (local.get $len))
    (i32.store8 offset=24 (local.get $at) (i32.const 1))
    (i64.store offset=32 (local.get $at) (local.get $expect)))

  (func $touch (param $pages i32)
    (local $at i32)
    (drop (memory.grow (i32.const 16)))
    (local.set $at (i32.const 131072))
    (loop $next
      (if (local.get $pages) (then
        (i32.store8 (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $next)))))

  ;; The sum of all bytes above the heap: what an earlier instance may have left.
  (func $sum (result i64)
    (local $at i32) (local $sum i64)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (loop $next
      (if (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16))) (then
        (local.set $sum (i64.or (local.get $sum) (i64.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $next))))
    (local.get $sum))

  (func (export "starbelt:function/handler@0.2.0#handle")
    (param $id i64) (param $root i64) (param $hops i32) (param $attempt i32)
    (param $source i32) (param $source_len i32) (param $deadline_ms i32)
    (param $calls i32) (param $cpu_us i64)
    (param $schema i32) (param $schema_len i32) (param $type i32) (param $type_len i32)
    (param $body i32) (param $len i32) (result i32)
    (local $do i32) (local $n i32)
    (if (local.get $len) (then (local.set $do (i32.load8_u (local.get $body)))))
    (if (i32.lt_u (i32.const 4) (local.get $len))
      (then (local.set $n (i32.load align=1 (i32.add (local.get $body) (i32.const 1))))))

    ;; answer the number as so many bytes
    (if (i32.eq (local.get $do) (i32.const 0x61)) (then ;; a
      (return (call $ok (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $n)) (local.get $n)))))
    ;; count in lasting state
    (if (i32.eq (local.get $do) (i32.const 0x63)) (then ;; c
      (return (call $count))))
    ;; describe: answer the node's name
    (if (i32.eq (local.get $do) (i32.const 0x64)) (then ;; d
      (call $describe (i32.const 128))
      (return (call $ok (i32.load (i32.const 128)) (i32.load (i32.const 132))))))
    ;; fail with the body as the text of an internal fault
    (if (i32.eq (local.get $do) (i32.const 0x66)) (then ;; f
      (i32.store8 (i32.const 64) (i32.const 1))
      (i32.store8 (i32.const 72) (i32.const 7))
      (i32.store (i32.const 80) (local.get $body))
      (i32.store (i32.const 84) (local.get $len))
      (return (i32.const 64))))
    ;; grow until refused, then give up
    (if (i32.eq (local.get $do) (i32.const 0x67)) (then ;; g
      (loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 1)))))
      (unreachable)))
    ;; host calls without end
    (if (i32.eq (local.get $do) (i32.const 0x68)) (then ;; h
      (loop $again
        (call $state_keys (i32.const 0) (i32.const 0) (i32.const 128))
        (br $again))))
    ;; inputs: answer the bytes of the first
    (if (i32.eq (local.get $do) (i32.const 0x69)) (then ;; i
      (call $inputs (i32.const 128))
      (local.set $n (i32.load (i32.const 128)))
      (call $read (i32.load (local.get $n)) (i32.load offset=4 (local.get $n))
        (i32.load offset=8 (local.get $n)) (i32.load offset=12 (local.get $n))
        (i64.const 0) (i32.wrap_i64 (i64.load offset=16 (local.get $n))) (i32.const 128))
      (return (call $ok_list_or_fault))))
    ;; log the body so many times
    (if (i32.eq (local.get $do) (i32.const 0x6c)) (then ;; l
      (loop $again
        (call $log (i32.const 2) (local.get $body) (local.get $len))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $again (local.get $n)))))
    ;; now: the sky clock
    (if (i32.eq (local.get $do) (i32.const 0x6e)) (then ;; n
      (return (call $ok_u64 (call $now)))))
    ;; out of bounds
    (if (i32.eq (local.get $do) (i32.const 0x6f)) (then ;; o
      (drop (i32.load (i32.const -8)))))
    ;; put under a key that is none
    (if (i32.eq (local.get $do) (i32.const 0x6b)) (then ;; k
      (call $state_put (i32.const 272) (i32.const 4) (local.get $body) (local.get $len)
        (i32.const 0) (i64.const 0) (i32.const 128))
      (return (call $ok_u64_or_fault))))
    ;; recurse
    (if (i32.eq (local.get $do) (i32.const 0x72)) (then ;; r
      (return (call $ok_u64 (i64.extend_i32_u (call $fall (i32.const 0)))))))
    ;; spin
    (if (i32.eq (local.get $do) (i32.const 0x73)) (then ;; s
      (loop $again (br $again))))
    ;; touch so many pages of 4 KiB
    (if (i32.eq (local.get $do) (i32.const 0x74)) (then ;; t
      (call $touch (local.get $n))
      (return (call $ok_u64 (i64.extend_i32_u (local.get $n))))))
    ;; unreachable
    (if (i32.eq (local.get $do) (i32.const 0x75)) (then ;; u
      (unreachable)))
    ;; put the counter with a version that it does not have
    (if (i32.eq (local.get $do) (i32.const 0x76)) (then ;; v
      (call $state_put (i32.const 256) (i32.const 7) (local.get $body) (local.get $len)
        (i32.const 1) (i64.const 999) (i32.const 128))
      (return (call $ok_u64_or_fault))))
    ;; write the body to the output "copy"
    (if (i32.eq (local.get $do) (i32.const 0x77)) (then ;; w
      (call $write (i32.const 288) (i32.const 4) (local.get $body) (local.get $len) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
      (return (call $ok (local.get $body) (local.get $len)))))
    ;; delete the counter
    (if (i32.eq (local.get $do) (i32.const 0x78)) (then ;; x
      (call $state_delete (i32.const 256) (i32.const 7) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))))
    ;; next contact with sat-2: the flag, its name and the three numbers
    (if (i32.eq (local.get $do) (i32.const 0x79)) (then ;; y
      (call $next_contact (i32.const 304) (i32.const 5) (i32.const 128))
      (return (call $ok (i32.const 128) (i32.const 40)))))
    ;; look for what an earlier instance left
    (if (i32.eq (local.get $do) (i32.const 0x7a)) (then ;; z
      (drop (memory.grow (i32.const 16)))
      (return (call $ok_u64 (call $sum)))))
    ;; 1: write the body to "copy", and once more from its second byte on
    (if (i32.eq (local.get $do) (i32.const 0x31)) (then
      (call $write (i32.const 288) (i32.const 4) (local.get $body) (local.get $len) (i32.const 128))
      (call $write_at (i32.const 288) (i32.const 4) (i64.extend_i32_u (local.get $n))
        (local.get $body) (local.get $len) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))))
    ;; 2: a batch of two: the counter if there is none, "copy" if it has version n
    (if (i32.eq (local.get $do) (i32.const 0x32)) (then
      (call $write_of (i32.const 512) (i32.const 256) (i32.const 7)
        (local.get $body) (local.get $len) (i64.const 0))
      (call $write_of (i32.const 552) (i32.const 288) (i32.const 4)
        (local.get $body) (local.get $len) (i64.extend_i32_u (local.get $n)))
      (call $batch (i32.const 512) (i32.const 2) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
      (return (call $ok (i32.load (i32.const 136)) (i32.mul (i32.const 8) (i32.load (i32.const 140)))))))
    ;; 3: call the puppet with what follows
    (if (i32.eq (local.get $do) (i32.const 0x33)) (then
      (return (call $puppet (i32.add (local.get $body) (i32.const 1))
        (i32.sub (local.get $len) (i32.const 1)) (i32.const 0)))))
    ;; 4: call the puppet with what follows, and the object "copy", written first
    (if (i32.eq (local.get $do) (i32.const 0x34)) (then
      (call $write (i32.const 288) (i32.const 4) (local.get $body) (local.get $len) (i32.const 128))
      (return (call $puppet (i32.add (local.get $body) (i32.const 1))
        (i32.sub (local.get $len) (i32.const 1)) (i32.const 1)))))
    ;; 5: emit the body on "copy"
    (if (i32.eq (local.get $do) (i32.const 0x35)) (then
      (call $emit (i32.const 288) (i32.const 4) (local.get $body) (local.get $len) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))))
    ;; 6: fan out: call itself twice with the same body; what comes of that does not matter
    (if (i32.eq (local.get $do) (i32.const 0x36)) (then
      (drop (call $puppet (local.get $body) (local.get $len) (i32.const 0)))
      (drop (call $puppet (local.get $body) (local.get $len) (i32.const 0)))))
    ;; 7: hand over the input that came first, under the key "copy"
    (if (i32.eq (local.get $do) (i32.const 0x37)) (then
      (call $inputs (i32.const 128))
      (local.set $n (i32.load (i32.const 128)))
      (call $forward (i32.load (local.get $n)) (i32.load offset=4 (local.get $n))
        (i32.load offset=8 (local.get $n)) (i32.load offset=12 (local.get $n))
        (i32.const 288) (i32.const 4) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))))
    ;; 8: hand n bytes from the heap on as "copy", and have the puppet read them
    (if (i32.eq (local.get $do) (i32.const 0x38)) (then
      (local.set $body (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $n)))
      (memory.fill (local.get $body) (i32.const 7) (local.get $n))
      (call $hand (i32.const 288) (i32.const 4) (local.get $body) (local.get $n) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
      (return (call $puppet (i32.const 336) (i32.const 1) (i32.const 1)))))
    ;; 9: latency to sat-2: the flag and the number
    (if (i32.eq (local.get $do) (i32.const 0x39)) (then
      (call $latency (i32.const 304) (i32.const 5) (i32.const 128))
      (return (call $ok (i32.const 128) (i32.const 16)))))
    ;; 0: a range of the counter, from its byte n on
    (if (i32.eq (local.get $do) (i32.const 0x30)) (then
      (call $get_range (i32.const 256) (i32.const 7) (i64.extend_i32_u (local.get $n))
        (i32.const 3) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))
      (return (call $ok (i32.load (i32.const 140)) (i32.load (i32.const 144))))))
    ;; !: call itself with the same body
    (if (i32.eq (local.get $do) (i32.const 0x21)) (then
      (return (call $puppet (local.get $body) (local.get $len) (i32.const 0)))))
    ;; %: call the puppet with what follows, whatever comes of it
    (if (i32.eq (local.get $do) (i32.const 0x25)) (then
      (drop (call $puppet (i32.add (local.get $body) (i32.const 1))
        (i32.sub (local.get $len) (i32.const 1)) (i32.const 0)))))
    ;; =: count, emit the body on "copy", and trap
    (if (i32.eq (local.get $do) (i32.const 0x3d)) (then
      (drop (call $count))
      (call $emit (i32.const 288) (i32.const 4) (local.get $body) (local.get $len) (i32.const 128))
      (unreachable)))
    ;; &: run the model "copy" on nothing
    (if (i32.eq (local.get $do) (i32.const 0x26)) (then
      (call $infer (i32.const 288) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))))
    ;; ?: the budget: calls and processor time
    (if (i32.eq (local.get $do) (i32.const 0x3f)) (then
      (i64.store (i32.const 96) (i64.extend_i32_u (local.get $calls)))
      (i64.store (i32.const 104) (local.get $cpu_us))
      (i64.store (i32.const 112) (i64.extend_i32_u (local.get $hops)))
      (return (call $ok (i32.const 96) (i32.const 24)))))
    ;; anything else: echo
    (call $ok (local.get $body) (local.get $len)))
)
