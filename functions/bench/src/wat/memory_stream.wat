;; Two loads and a store of 4 bytes, 12 bytes on, over 1 MB; as often as the argument says.
(module
  (memory 17)
  (func (export "run") (param $n i32) (result i32) (local $at i32)
    (loop $pass
      (local.set $at (i32.const 0))
      (loop $next
        (i32.store offset=8 (local.get $at)
          (i32.add (i32.load (local.get $at)) (i32.load offset=4 (local.get $at))))
        (br_if $next (i32.lt_u
          (local.tee $at (i32.add (local.get $at) (i32.const 12))) (i32.const 1000000))))
      (br_if $pass (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $at)))
