;; A function of the contract, as small as can be.
(component
  (import "starbelt:function/state@0.2.0" (instance))
  (import "wasi:cli/stdout@0.2.0" (instance))
  (core module $m
    (memory 1)
    (func (param i32) (result i32) (local i64 f32)
      (block (loop (br_if 1 (i32.eqz (local.get 0))) (br 0)))
      (i32.load (local.get 0))))
  (core instance $i (instantiate $m))
  (instance $handler)
  (export "starbelt:function/handler@0.2.0" (instance $handler)))
