;; Types, aliases and instances of components within components.
(component
  (type $point (record (field "x" u32) (field "y" f64)))
  (type $fault (variant (case "late") (case "bad" string)))
  (type $f (func (param "p" $point) (result (result (list u8) (error $fault)))))
  (component $inner
    (core module $m (func (export "f") (result i32) (i32.const 7)))
    (core instance $i (instantiate $m))
    (func $f (result u32) (canon lift (core func $i "f")))
    (export "f" (func $f)))
  (instance $i (instantiate $inner))
  (alias export $i "f" (func $f2))
  (export "g" (func $f2)))
