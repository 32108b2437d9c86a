;; The right names, the wrong types: the function takes and returns nothing.
(component
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $transformer (export "transform" (func $f)))
  (export "hydrant:transform/transformer@1.0.0" (instance $transformer)))
