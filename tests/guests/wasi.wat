;; A transform of the right world that wants WASI, as `wasm32-wasip2` and `wasm32-wasip1` with its adapter make them:
;; the environment, an exit, clocks, random bytes, and a stream to write to, with the resource and the error of such.
(component
  (import "wasi:io/error@0.2.3" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.3" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $io-error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output-stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/environment@0.2.3" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))))
  (import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))
  (import "wasi:cli/stdout@0.2.3" (instance $stdout
    (alias outer 1 $output-stream (type $outer-stream))
    (export "output-stream" (type $output-stream (eq $outer-stream)))
    (export "get-stdout" (func (result (own $output-stream))))))
  (import "wasi:clocks/wall-clock@0.2.3" (instance $clock
    (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $datetime')))
    (export "now" (func (result $datetime)))))
  (import "wasi:random/random@0.2.3" (instance $random (export "get-random-u64" (func (result u64)))))
  (core func $exit' (canon lower (func $exit "exit")))
  (core module $m
    (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
    (func (export "f") (call $exit (i32.const 0))))
  (core instance $i (instantiate $m (with "wasi:cli/exit@0.2.3" (instance (export "exit" (func $exit'))))))
  (func $f (canon lift (core func $i "f")))
  (instance $transformer (export "transform" (func $f)))
  (export "hydrant:transform/transformer@1.0.0" (instance $transformer)))
