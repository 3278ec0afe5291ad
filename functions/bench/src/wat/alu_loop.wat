;; Arithmetic with one masked load a turn.
(module
  (memory 1)
  (func (export "run") (param $n i32) (result i32) (local $x i32)
    (loop $next
      (local.set $x (i32.add
        (i32.xor (i32.mul (local.get $x) (i32.const 1664525)) (local.get $n))
        (i32.load (i32.and (local.get $x) (i32.const 65532)))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x)))
