;; A component that wants things of its host: a function of an interface, and a plain one.
(component
  (import "test:guest/clock" (instance (export "now" (func (result u64)))))
  (import "beep" (func)))
