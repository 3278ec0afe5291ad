;; Multiplies two square matrices of zeros and ones, naively: f64, loads in three nested loops.
(module
  (memory 64)
  (func (export "run") (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $k i32) (local $sum f64) (local $row i32)
    (local.set $row (i32.shl (local.get $n) (i32.const 3)))
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $k (i32.const 0))
        (local.set $sum (f64.const 0))
        (loop $terms
          (local.set $sum (f64.add (local.get $sum) (f64.mul
            (f64.load (i32.add (i32.mul (local.get $i) (local.get $row)) (i32.shl (local.get $k) (i32.const 3))))
            (f64.load offset=1048576
              (i32.add (i32.mul (local.get $k) (local.get $row)) (i32.shl (local.get $j) (i32.const 3)))))))
          (br_if $terms (i32.lt_u
            (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $n))))
        (f64.store offset=2097152
          (i32.add (i32.mul (local.get $i) (local.get $row)) (i32.shl (local.get $j) (i32.const 3)))
          (local.get $sum))
        (br_if $columns (i32.lt_u
          (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (br_if $rows (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i32.trunc_f64_s (local.get $sum))))
